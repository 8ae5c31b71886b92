"""Symbolic tensors: what they show, what layers and ops make of them, which shapes `build` gets, what they refuse."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import Input, KerasTensor, Sequential, activations, layers, ops
from gpudl.engine import calls
from gpudl.engine.calls import calls_of
from gpudl.engine.spec import ShapeError

X = np.ones((2, 4), np.float32)


class TestWhatASymbolShows:
    def test_shape_dtype_and_name(self) -> None:
        x = Input((None, 4), batch_size=3, dtype="int32", name="words")
        assert (x.shape, x.dtype, x.ndim, x.name) == ((3, None, 4), "int32", 3, "words")
        assert (
            repr(x) == str(x) == "<KerasTensor shape=(3, None, 4), dtype=int32, sparse=False, ragged=False, name=words>"
        )
        assert Input((4,)).dtype == gpudl.config.floatx()
        assert Input(batch_shape=(None, 5)).shape == (None, 5)
        assert Input((), dtype="bool").shape == (None,)

    def test_names_are_counted(self) -> None:
        assert [Input((1,)).name, Input((1,)).name] == ["keras_tensor", "keras_tensor_1"]
        assert Input((1,)).call.operation.name == "input_layer_2"

    def test_what_input_takes(self) -> None:
        x = Input((4,), sparse=True)
        assert "sparse=True" in repr(x)
        assert Input(tensor=x) is x
        assert Input((4,), optional=True).call.operation.optional
        with pytest.raises(ValueError, match=r"^Input\(ragged=True\) is not supported: every batch of an "):
            Input((4,), ragged=True)
        with pytest.raises(
            ValueError, match=r"^Input\(tensor=\.\.\.\) needs a symbolic tensor, got ndarray\. Pass a s"
        ):
            Input(tensor=X)  # type: ignore[arg-type]

    def test_it_begins_a_sequential(self) -> None:
        x = Input((4,), dtype="float64", name="x")
        model = Sequential([x, layers.Dense(3)])
        assert model.input_shape == (None, 4)
        assert model.get_config()["layers"][0]["config"]["name"] == "x"
        with pytest.raises(ValueError, match="only layers can be added to a Sequential"):
            Sequential([layers.Dense(2)(Input((4,)))])

    def test_a_copy_is_the_symbol_and_a_pickle_one_like_it(self) -> None:
        x = Input((4,), name="x")
        assert copy.deepcopy([x])[0] is x
        again = pickle.loads(pickle.dumps(x + 1))
        assert (again.shape, again.dtype, again.call) == ((None, 4), x.dtype, None)


OPERATORS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "x + 1": (lambda x: x + 1, "add"),
    "1 - x": (lambda x: 1 - x, "subtract"),
    "array * x": (lambda x: X[0] * x, "multiply"),
    "x / 2": (lambda x: x / 2, "true_divide"),
    "2 / x": (lambda x: 2 / x, "true_divide"),
    "x // 2": (lambda x: x // 2, "floor_divide"),
    "x % 2": (lambda x: x % 2, "mod"),
    "x ** 2": (lambda x: x**2, "power"),
    "-x": (operator.neg, "negative"),
    "abs": (abs, "absolute"),
    "x > 0": (lambda x: x > 0, "greater"),
    "x == 1": (lambda x: x == 1, "equal"),
    "matmul": (lambda x: x @ X.T, "matmul"),
    "array @ x": (lambda x: X.T @ x, "matmul"),
    "x[:, 1:]": (lambda x: x[:, 1:], "get_item"),
    "x[..., None]": (lambda x: x[..., None], "get_item"),
}
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "exp": (ops.exp, "exp"),
    "mean": (lambda x: ops.mean(x, axis=-1, keepdims=True), "mean"),
    "max": (lambda x: ops.max(x, axis=1, initial=2), "max"),
    "clip": (lambda x: ops.clip(x, 0.0, 0.5), "clip"),
    "cast": (lambda x: ops.cast(x, "int32"), "cast"),
    "reshape": (lambda x: ops.reshape(x, (-1, 2)), "reshape"),
    "stack": (lambda x: ops.stack([x, x], axis=1), "stack"),
    "concatenate": (lambda x: ops.concatenate([x, X], axis=0), "concatenate"),
    "by keyword": (lambda x: ops.concatenate(xs=[x, x], axis=-1), "concatenate"),
    "where": (lambda x: ops.where(X > 0, 0.0, x), "where"),
    "softmax": (ops.softmax, "softmax"),
    "argmax": (lambda x: ops.argmax(x, axis=-1), "argmax"),
    "gelu": (activations.gelu, "gelu"),
    "hard_silu": (activations.hard_silu, "hard_silu"),
}


def test_bits_of_truths_are_remembered_as_logic() -> None:
    x, numbers = Input((4,), dtype="bool"), Input((4,), dtype="int32")
    made = [x & x, x | True, True ^ x, ~x, x & numbers, ~numbers]
    names = "logical_and logical_or logical_xor logical_not bitwise_and bitwise_not"
    assert [symbol.call.operation.function.name for symbol in made] == names.split()
    values = np.array([[True, False, True, False]])
    for symbol, expected in zip(made[:4], (values, values | True, ~values, ~values), strict=True):
        np.testing.assert_array_equal(gpudl.Model(x, symbol)(values).numpy(), expected)


@pytest.mark.parametrize("name", [*OPERATORS, *FUNCTIONS])
class TestOps:
    def test_the_symbol_has_shape_and_dtype_of_the_result(self, name: str) -> None:
        function, _ = {**OPERATORS, **FUNCTIONS}[name]
        result, symbol = function(gpudl.convert_to_tensor(X)), function(Input((4,), batch_size=2))
        assert type(symbol) is KerasTensor
        assert (symbol.shape, symbol.dtype) == (result.shape, result.dtype)

    def test_one_call_is_remembered_under_the_name_of_the_op(self, name: str) -> None:
        function, known_as = {**OPERATORS, **FUNCTIONS}[name]
        x = Input((4,), batch_size=2)
        call = function(x).call
        assert call.operation.name == known_as
        assert all(symbol is x for symbol in call.inputs)

    def test_the_call_computes_what_the_op_computes(self, name: str) -> None:
        function, _ = {**OPERATORS, **FUNCTIONS}[name]
        x = Input((4,), batch_size=2)
        values = np.linspace(-1, 2, 8, dtype=np.float32).reshape(2, 4)
        model = gpudl.Model(x, function(x))
        np.testing.assert_array_equal(model(values).numpy(), function(gpudl.convert_to_tensor(values)).numpy())


def test_every_public_function_of_tensors_knows_symbols() -> None:
    taken = {"registry", "Op"}
    for name in set(ops.__all__) - taken:
        function = getattr(ops, name)
        if isinstance(function, ModuleType):  # such as ops.image, whose functions are tested with it
            continue
        # Those that take symbols themselves are tested one by one.
        assert isinstance(function, ops.Op) or hasattr(function, "__wrapped__") or function in calls._direct, name
        assert pickle.loads(pickle.dumps(function)) is function


class TestShapesThatAreNotKnown:
    @pytest.mark.parametrize(
        ("function", "shape"),
        [
            (lambda x: x + 1, (None, None, 4)),
            (lambda x: x[:, -1], (None, 4)),
            (lambda x: x[:, :3], (None, 3, 4)),
            (lambda x: ops.mean(x, axis=1), (None, 4)),
            (lambda x: ops.sum(x, axis=0), (None, 4)),
            (lambda x: ops.concatenate([x, x], axis=1), (None, None, 4)),
            (lambda x: ops.reshape(x, (-1, 6)), (None, 6)),
            (lambda x: ops.transpose(x, (1, 2, 0)), (None, 4, None)),
            (lambda x: x @ np.ones((4, 3)), (None, None, 3)),
            (lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))), (None, None, None)),
            (layers.Dense(3), (None, None, 3)),
            (layers.Reshape((-1, 2)), (None, None, 2)),
            (layers.Dropout(0.5), (None, None, 4)),
            (Sequential([layers.Dense(3), layers.ReLU()]), (None, None, 3)),
        ],
    )
    def test_sequences(self, function: Callable[[Any], Any], shape: tuple[int | None, ...]) -> None:
        assert function(Input((None, 4))).shape == shape

    def test_images_of_any_size_pass_deep_networks(self) -> None:
        x = Input((None, None, 3))
        for _ in range(4):
            x = layers.MaxPooling2D()(layers.Conv2D(4, 5)(x))
        assert x.shape == (None, None, None, 4)
        assert layers.GlobalAveragePooling2D()(x).shape == (None, 4)

    def test_sizes_of_two_inputs_agree_where_they_must(self) -> None:
        x, y, known = Input((None, 4)), Input((None, 4)), Input((10, 4))
        assert (x + y).shape == (None, None, 4)
        assert ops.concatenate([x, y], axis=-1).shape == (None, None, 8)
        assert (x + known).shape == (known + x).shape == (None, 10, 4)
        assert (x + known + x).shape == (None, 10, 4)
        assert ops.concatenate([ops.transpose(Input((4, None)), (0, 2, 1)), x], -1).shape == (None, None, 8)
        assert (Input((4,)) + np.ones((8, 4))).shape == (8, 4)

    def test_a_misfit_says_none_for_what_is_not_known(self) -> None:
        with pytest.raises(
            ShapeError, match=r"^add\(float32\[None, 4\], float32\[None, 3\]\): shapes \(None, 4\) and "
        ):
            Input((4,)) + Input((3,))
        with pytest.raises(ShapeError, match=r'^Dense "d": weight .kernel. cannot have shape \(None, 3\): the inputs'):
            layers.Dense(3, name="d")(Input((None,)))
        layer = layers.Dense(3, name="d")
        layer(Input((4,)))
        with pytest.raises(
            ShapeError,
            match=r'^Dense "d": Input 0 .* axis -1 of input shape to have value 4, found 5\. .*: \(None, None, 5\)',
        ):
            layer(Input((None, 5)))

    def test_layers_inside_know_what_is_not_known(self) -> None:
        class Outer(layers.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.inner = Sequential([layers.Dense(3)])

            def call(self, x: Any) -> Any:
                return self.inner(x * 2 + 1)

        outer = Outer()
        assert outer(Input((None, 4))).shape == (None, None, 3)
        assert outer.inner.input_shape == (None, None, 4)


class TestCalls:
    def test_layers_remember_nests_and_what_they_returned(self) -> None:
        class Both(layers.Layer):
            def call(self, pair: Any, scale: float = 1.0, extra: Any = None) -> Any:
                return {"sum": pair["a"] + pair["b"] * scale, "rest": [extra, None]}

        layer, a, b = Both(), Input((4,)), Input((1,))
        with pytest.raises(
            AttributeError, match=r'^Both "both.*" has no output: it was not called on symbols\. Call it'
        ):
            _ = layer.output
        made = layer({"a": a, "b": b}, scale=2.0, extra=a)
        assert made["sum"].shape == made["rest"][0].shape == (None, 4)
        assert made["rest"][1] is None
        assert layer.output["sum"] is made["sum"]
        assert [x is y for x, y in zip(layer.input, [a, b, a], strict=True)] == [True] * 3
        (call,) = calls_of(layer)
        assert call.kwargs["scale"] == 2.0
        assert layer.output_shape == {"sum": (None, 4), "rest": [(None, 4), None]}

    def test_a_layer_is_not_kept_alive_by_its_calls(self) -> None:
        layer, x = layers.Dense(3), Input((4,))
        y = layer(x)
        assert len(calls_of(layer)) == 1
        del y
        assert calls_of(layer) == []

    def test_later_changes_of_arguments_have_no_effect(self) -> None:
        x = Input((4,))
        parts, shift = [x, x], np.zeros(8, np.float32)
        y = ops.concatenate(parts, axis=-1) + shift
        model = gpudl.Model(x, y)
        parts.pop()
        shift += 1
        np.testing.assert_array_equal(model(X).numpy(), np.ones((2, 8)))

    def test_a_subclass_may_call_its_layer_output(self) -> None:
        class Own(gpudl.Model):
            def __init__(self) -> None:
                super().__init__()
                self.input = layers.Dense(3)
                self.output = layers.Dense(1)
                self.operations = self.kind = "its own"

            def call(self, x: Any) -> Any:
                return self.output(self.input(x))

        model, texts = Own(), list[str]()
        assert model(X).shape == (2, 1)
        model.summary(print_fn=texts.append)
        assert "(Dense)" in texts[0]
        assert "own" not in texts[0].split("Layer")[1]


REFUSED: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (bool, TypeError, "a symbolic tensor has no truth value"),
    (float, ValueError, "a symbolic tensor cannot be read as an array or a number"),
    (int, ValueError, "a symbolic tensor cannot be read as an array or a number"),
    (np.asarray, ValueError, "a symbolic tensor cannot be read as an array or a number"),
    (lambda x: x.numpy(), ValueError, "a symbolic tensor cannot be read as an array or a number"),
    (list, NotImplementedError, "a symbolic tensor cannot be iterated over"),
    (len, TypeError, "a symbolic tensor has no length"),
    (range, TypeError, "a symbolic tensor cannot be an index"),
    (lambda x: x.size, ValueError, "a symbolic tensor has no number of elements"),
    (gpudl.Variable, ValueError, "a symbolic tensor cannot be read as an array or a number"),
    (lambda x: gpudl.Variable(X).assign(x), TypeError, "a symbolic tensor was passed to a function that computes"),
    (gpudl.traced(ops.exp), TypeError, "a symbolic tensor was passed to a function that computes"),
    (lambda x: Sequential([layers.Dense(1)]).predict(x, verbose=0), ValueError, "a symbolic tensor cannot be read"),
]


@pytest.mark.parametrize(("use", "kind", "text"), REFUSED)
def test_what_needs_values_is_refused(use: Callable[[Any], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        use(Input((4,), batch_size=2, name="x"))
    assert str(caught.value).startswith(text)
    assert str(caught.value).endswith(
        "<KerasTensor shape=(2, 4), dtype=float32, sparse=False, ragged=False, name=x> is a placeholder for data and "
        "has no values. Call layers and functions of gpudl.ops on it, make a Model of its inputs and outputs, and call "
        "that on data."
    )


A, B = (None, 4), (None, 3, 5)
BUILDS: list[tuple[str, str, Callable[[Any], Any], Any]] = [
    ("input_shape", "x", lambda f: f(X), {"input_shape": A}),
    ("anything", "x", lambda f: f(X), {"anything": A}),
    ("input_shape", "query, value", lambda f: f(X, np.ones((2, 3, 5))), {"input_shape": A}),
    ("value_shape", "query, value", lambda f: f(X, np.ones((2, 3, 5))), {"value_shape": B}),
    (
        "query_shape, value_shape",
        "query, value",
        lambda f: f(X, np.ones((2, 3, 5))),
        {"query_shape": A, "value_shape": B},
    ),
    ("query_shape, value_shape", "query, value", lambda f: f(value=np.ones((2, 3, 5)), query=X), "above"),
    ("query_shape, value_shape=None", "query, value=None", lambda f: f(X), {"query_shape": A, "value_shape": None}),
    ("value_shape, query_shape", "query, value, training=False", lambda f: f(X, np.ones((2, 3, 5))), "above but one"),
    ("input_shape", "xs", lambda f: f([X, np.ones((2, 3, 5))]), {"input_shape": [A, B]}),
    ("input_shape", "xs", lambda f: f({"a": X, "b": np.ones((2, 3, 5))}), {"input_shape": {"a": A, "b": B}}),
    ("xs_shape, y_shape", "xs, y", lambda f: f([X, np.ones((2, 3, 5))], X), {"xs_shape": [A, B], "y_shape": A}),
    ("input_shape", "*xs", lambda f: f(X, np.ones((2, 3, 5))), {"input_shape": (A, B)}),
    ("", "x", lambda f: f(X), {}),
]


def noting(of: Any, build: str, call: str) -> tuple[Any, list[dict[str, Any]]]:
    """Return a layer of gpudl or Keras with such arguments, and what its `build` will have been given."""
    noted: list[dict[str, Any]] = []
    space: dict[str, Any] = {"Layer": of.layers.Layer, "noted": noted}
    exec(
        f"class Noting(Layer):\n    def build(self, {build}):\n        given = dict(locals())\n"
        "        noted.append({k: v for k, v in given.items() if k not in ('self', '__class__')})\n"
        f"        self.built = True\n    def call(self, {call}):\n        return None\n",
        space,
    )
    return space["Noting"](), noted


class TestBuild:
    @pytest.mark.parametrize(("build", "call", "use", "wanted"), BUILDS)
    def test_the_shapes_that_build_gets(self, build: str, call: str, use: Any, wanted: Any) -> None:
        layer, noted = noting(gpudl, build, call)
        use(layer)
        assert noted == [{"query_shape": A, "value_shape": B} if isinstance(wanted, str) else wanted]

    @parity
    @pytest.mark.parametrize(("build", "call", "use", "wanted"), BUILDS)
    def test_keras_gives_the_same(self, build: str, call: str, use: Any, wanted: Any) -> None:
        def sized(leaf: Any) -> Any:  # Keras gives the batch size as well
            return (None, *leaf[1:]) if isinstance(leaf, tuple) and leaf and leaf[0] == 2 else leaf

        layer, noted = noting(keras_or_skip(), build, call)
        use(layer)
        ours, known = noting(gpudl, build, call)
        use(ours)
        assert [{k: gpudl.engine.tree.map_leaves(sized, [v]) for k, v in n.items()} for n in noted] or not build
        assert [list(n) for n in noted] == [list(n) for n in known]

    def test_symbols_bring_their_shapes(self) -> None:
        layer, noted = noting(gpudl, "query_shape, value_shape", "query, value")
        layer(Input((None, 4)), value=Input((None, None, 5)))
        assert noted == [{"query_shape": (None, None, 4), "value_shape": (None, None, None, 5)}]

    @pytest.mark.parametrize("build", ["query_shape, other_shape", "q, v", "input_shape, more"])
    def test_names_that_fit_no_argument(self, build: str) -> None:
        layer, noted = noting(gpudl, build, "query, value")
        with pytest.raises(
            ValueError, match=r"^Noting \"noting.*\": build\(\) takes .*, but call\(\) has no argument whose "
        ):
            layer(X, X)
        assert not noted
        assert not layer.built
