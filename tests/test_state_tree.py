"""The state of a model as a tree: what is in it, by which paths, and that a model can be set from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl.names import clear_names

X, Y = np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)


def trained(of: Any = gpudl, epochs: int = 1) -> Any:
    inner = of.Sequential([of.layers.BatchNormalization(name="norm"), of.layers.Dense(2, name="low")], name="inner")
    model = of.Sequential([of.Input((3,)), inner, of.layers.Dense(1, name="top")], name="m")
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, epochs=epochs, verbose=0)
    return model


def shapes(tree: Any) -> Any:
    return {k: shapes(v) for k, v in tree.items()} if isinstance(tree, dict) else tuple(np.shape(tree))


def test_a_model_goes_on_from_the_state_of_another() -> None:
    one, other = trained(), trained(epochs=2)
    tree = one.get_state_tree(value_format="numpy_array")
    assert isinstance(tree["trainable_variables"]["m"]["top"]["kernel"], np.ndarray)
    assert isinstance(one.get_state_tree()["optimizer_variables"]["adam"]["iteration"], gpudl.Tensor)
    other.optimizer.name = one.optimizer.name
    other.set_state_tree(tree)
    for model in (one, other):
        model.fit(X, Y, verbose=0)
    for a, b in zip(
        (*one.variables, *one.optimizer.variables), (*other.variables, *other.optimizer.variables), strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"weights": {}}, r"the state of a model has trainable_variables, .*, got 'weights'"),
        (
            {"trainable_variables": {"m": {"nope": 1.0}}},
            r"has no variable 'm/nope' among its trainable_variables, which are",
        ),
        ({"trainable_variables": {"m": {"top": {"kernel": [1.0]}}}}, r"'m/top/kernel' has shape \(2, 1\), got \(1,\)"),
    ],
)
def test_a_tree_that_does_not_fit_changes_nothing(tree: Any, text: str) -> None:
    model = trained()
    before = model.get_weights()
    with pytest.raises(ValueError, match=text):
        model.set_state_tree({"optimizer_variables": {model.optimizer.name: {"iteration": 7}}, **tree})
    assert int(model.optimizer.iterations) == 1
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_a_tree() -> None:
    with pytest.raises(ValueError, match="value_format must be one of backend_tensor, numpy_array, got 'jax'"):
        trained().get_state_tree("jax")

    class Twice(gpudl.Model):
        def __init__(self) -> None:
            super().__init__(name="twice")
            self.one, self.two = gpudl.Variable([1.0], name="w"), gpudl.Variable([1.0], name="w")

    with pytest.raises(ValueError, match="two variables have the path 'w'"):
        Twice().get_state_tree()


@parity
def test_the_tree_is_that_of_keras() -> None:
    keras = keras_or_skip()
    keras.utils.clear_session()
    clear_names()
    assert shapes(trained().get_state_tree()) == shapes(trained(keras).get_state_tree())
