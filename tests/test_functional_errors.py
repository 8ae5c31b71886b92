"""What a functional model refuses, and what it takes with a warning, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from functional_models import X, Z, branches, image, nested

from gpudl import Input, Model, layers
from gpudl.engine.spec import ShapeError
from gpudl.engine.tree import map_leaves


def test_outputs_that_need_another_input() -> None:
    a, b = Input((4,), name="a"), Input((3,), name="b")
    with pytest.raises(
        ValueError,
        match=r'^the outputs of the Model need the input "b" of shape \(None, 3\), which is not among its inputs '
        r"\(a\)\. Add it to the inputs\.$",
    ):
        Model(a, layers.Dense(3)(a) + b)


def test_inputs_that_are_no_different_ones() -> None:
    a = Input((4,), name="a")
    with pytest.raises(ValueError, match=r"^Model got the same input twice among its inputs\. Give each Input once"):
        Model([a, a], a)


def test_two_of_one_name() -> None:
    a, b = Input((4,), name="a"), Input((4,), name="b")
    one, other = layers.Dense(4, name="a"), layers.Dense(4, name="b")
    for inputs, outputs, name in (([a, Input((4,), name="a")], a, "a"), (a, one(a), "a"), (a, other(other(a)), "")):
        if not name:
            Model(inputs, outputs)
            continue
        with pytest.raises(ValueError, match=rf'^The name "{name}" is used 2 times in the model: the layers and in'):
            Model(inputs, outputs)
    with pytest.raises(ValueError, match=r'^The name "b" is used 3 times in the model'):
        Model([a, b], layers.Dense(4, name="b")(other(a)) + b)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (X, "got an array of shape (9, 4)."),
        ([X, X, X], "got [an array of shape (9, 4), an array of shape (9, 4), an array of shape (9, 4)]."),
        ({"side": X}, "got {'side': an array of shape (9, 4)}. There is nothing for 'input_layer'."),
        (
            {"side": X, "x": X},
            "got {'side': an array of shape (9, 4), 'x': an array of shape (9, 4)}. There is nothing for 'input_l",
        ),
    ],
)
def test_inputs_in_another_structure(given: Any, text: str) -> None:
    model = branches()
    model.name = "m"
    given = map_leaves(lambda a: a[:9], given)
    expected = f"Model \"m\" expects 2 inputs in the structure ['input_layer', 'side'], {text}"
    for call in (model, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call(given)
        assert str(caught.value).startswith(expected)


def test_inputs_that_do_not_fit() -> None:
    model = branches()
    model.name = "m"
    text = r"""^Model "m": its input 'side' has shape \(None, 4\), got \(9, 3\)\. Reshape the data, or"""
    for call in (model, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(ShapeError, match=text):
            call([X[:9], X[:9, :3]])


def test_as_many_inputs_in_another_structure_are_taken_in_their_order_with_a_warning() -> None:
    model = nested()
    wanted = model({"j": X, "k": Z})["r"].numpy()
    named = r"""expects 2 inputs in the structure \{'k': 'k', 'j': 'j'\}, got """
    with pytest.warns(UserWarning, match=named + r"\{.*'more': an array of"):
        np.testing.assert_array_equal(model({"j": X, "k": Z, "more": X})["r"].numpy(), wanted)
    with pytest.raises(ValueError, match=named + r"\[an array of shape"):  # which is which? the keys are not in order
        model([X, Z])
    a, b, c = (Input((4,), name=name) for name in "abc")
    with pytest.warns(UserWarning, match=r"""structure \['a', \('b', 'c'\)\], got \[an array"""):
        np.testing.assert_array_equal(Model([a, (b, c)], a - c)([X, Z, X]).numpy(), X - X)
    with pytest.warns(UserWarning, match=r"""structure \{'a': 'a', 'b': 'b'\}, got \[an array"""):
        np.testing.assert_array_equal(Model({"a": a, "b": b}, a - b)([X, Z]).numpy(), X - Z)
    with pytest.warns(UserWarning, match=r"""expects 1 input in the structure \{'a': 'a'\}, got \{'a': an array"""):
        np.testing.assert_array_equal(Model({"a": a}, 2 * a)({"a": X, "more": Z}).numpy(), 2 * X)


def test_a_symbol_that_does_not_fit() -> None:
    model = image()
    with pytest.raises(ShapeError, match=r'^Model "residual": its input .img. has shape \(None, 8, 8, 3\), got \(None'):
        model(Input((8, 9, 3)))


def test_a_layer_that_returns_another_nest() -> None:
    class Turning(layers.Layer):
        returns = 1

        def call(self, x: Any) -> Any:
            return [x] * self.returns

    layer, x = Turning(name="turning"), Input((4,))
    model = Model(x, layer(x)[0] + 1, name="m")
    layer.returns = 2
    with pytest.raises(ValueError, match=r'^Model "m": turning returned 2 results, and 1 when it was called on symb'):
        model(X)


def test_axes_of_size_one_and_dtypes_are_fitted() -> None:
    x = Input((1,), dtype="int32")
    model = Model(x, x * 2)
    assert model(np.arange(3)).shape == (3, 1)
    assert model(np.ones((3, 1, 1))).shape == (3, 1)
    assert model(np.ones((3, 1))).dtype == "int32"
    single = Model(x, [x + 1])
    assert single([np.ones((3, 1))]).shape == single(np.ones((3, 1))).shape == (3, 1)  # one output is no list
