"""The face of layers beside calls and weights: specs of inputs, calls without state, configs of builds."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import Input, InputSpec, KerasTensor, Sequential, layers, ops
from gpudl.layers import Layer

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)


def specified(spec: Any) -> Layer:
    layer = layers.Lambda(lambda x: ops.zeros_like(X), name="l")
    layer.input_spec = spec
    return layer


class TestInputSpec:
    @pytest.mark.parametrize(
        ("spec", "text"),
        [
            (InputSpec(ndim=3), "expected ndim=3, found ndim=2"),
            (InputSpec(min_ndim=3), "expected min_ndim=3, found ndim=2"),
            (InputSpec(max_ndim=1), "expected max_ndim=1, found ndim=2"),
            (InputSpec(dtype="int32"), "expected dtype=int32, found dtype=float32"),
            (InputSpec(axes={-1: 4}), "expected axis -1 of input shape to have value 4, found 3"),
            (InputSpec(axes={5: 4}), "expected an axis 5, found ndim=2"),
            (InputSpec(shape=(None, 4)), "expected shape=(None, 4), found shape=(2, 3)"),
            (InputSpec(shape=(4, 3)), "expected shape=(4, 3), found shape=(2, 3)"),
            (InputSpec(shape=(None, 3, 1)), "expected ndim=3, found ndim=2"),
        ],
    )
    def test_misfits(self, spec: InputSpec, text: str) -> None:
        whole = f'Lambda "l": Input 0 is incompatible with the layer: {text}. Full shape received: (None, 3).'
        with pytest.raises(gpudl.ShapeError, match=f"^{re.escape(whole)}$"):
            specified(spec)(X)

    def test_fits(self) -> None:
        for spec in (
            *(InputSpec(), InputSpec(ndim=2, max_ndim=2, min_ndim=1, axes={1: 3, 0: None}, dtype="float32")),
            *(InputSpec(shape=(None, 3)), InputSpec(shape=(2, 3))),
            InputSpec(shape=(None, 3, 1), allow_last_axis_squeeze=True),
        ):
            assert specified(spec)(X).shape == (2, 3)

    def test_several_inputs(self) -> None:
        layer = specified([InputSpec(ndim=2), InputSpec(ndim=3)])
        with pytest.raises(
            gpudl.ShapeError, match=r"^Lambda \"l\": Input 1 is incompatible with the layer: expected ndim"
        ):
            layer([X, X])
        for wrong in (X, [X], [X, X, X]):
            with pytest.raises(
                ValueError, match=r'^Lambda "l" expects 2 input\(s\), but it received \d input tensors\.'
            ):
                layer(wrong)
        named = specified({"a": InputSpec(ndim=2), "b": InputSpec(ndim=3, name="b", optional=True)})
        named({"b": None, "a": X})
        with pytest.raises(gpudl.ShapeError, match=r"Input 1 \('b'\) is incompatible"):
            named({"b": X, "a": X})
        with pytest.raises(ValueError, match=r"^Lambda \"l\" takes a dict with 'a', 'b', and 'b' is missing\.$"):
            named({"a": X})
        with pytest.raises(ValueError, match=r"inputs are tensors, got None as input 0\."):
            specified([InputSpec(ndim=2)])([None])

    def test_what_it_refuses(self) -> None:
        for axes in (3, {"a": 3}):
            with pytest.raises(TypeError, match=r"^InputSpec: axes is a dict of sizes by axis, with integer keys, got"):
                InputSpec(axes=axes)
        for limit in ({"ndim": 2}, {"max_ndim": 2}, {"shape": (None, 3)}):
            with pytest.raises(ValueError, match=r"axis 4 is greater than the last one of 2 axes, 1\."):
                InputSpec(axes={4: 2}, **limit)

    def test_config(self) -> None:
        spec = InputSpec("float32", (None, 3), axes={1: 3})
        assert repr(spec) == "InputSpec(dtype=float32, shape=(None, 3), ndim=2, axes={1: 3})"
        assert InputSpec.from_config(spec.get_config()) == spec


class TestStatelessCall:
    def test_states_come_out_and_the_layer_stays(self) -> None:
        layer = layers.BatchNormalization(momentum=0.5)
        layer.build((None, 3))
        before = [v.numpy() for v in layer.variables]
        fixed = [np.full(3, 2.0, np.float32), np.ones(3, np.float32)]
        y, after = layer.stateless_call([np.ones(3), np.full(3, 7.0)], fixed, X, training=True)
        np.testing.assert_allclose(after[0].numpy(), 0.5 * X.mean(0) + 1)
        np.testing.assert_allclose(y.numpy().mean(0), 7, atol=1e-5)
        assert all(np.array_equal(v.numpy(), old) for v, old in zip(layer.variables, before, strict=True))

    def test_random_states_count_on(self) -> None:
        layer = layers.Dropout(0.5, seed=3)
        first, states = layer.stateless_call([], layer.non_trainable_variables, np.ones((4, 4)), training=True)
        again, _ = layer.stateless_call([], layer.non_trainable_variables, np.ones((4, 4)), training=True)
        later, _ = layer.stateless_call([], states, np.ones((4, 4)), training=True)
        np.testing.assert_array_equal(first.numpy(), again.numpy())
        assert not np.array_equal(first.numpy(), later.numpy())

    @pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
    def test_it_is_differentiated(self, policy: str) -> None:
        layer = layers.Dense(2, kernel_regularizer="l2", use_bias=False, dtype=policy)
        layer.build((None, 3))
        kernel = gpudl.Variable(np.ones((3, 2), np.float32))
        with gpudl.GradientTape() as tape:
            y, _, (penalty,) = layer.stateless_call([kernel], [], X[:1], return_losses=True)
            loss = ops.sum(ops.cast(y, "float32")) + penalty
        assert y.dtype == layer.compute_dtype
        wanted = np.repeat(X[:1].T, 2, 1) + 0.02
        np.testing.assert_allclose(tape.gradient(loss, kernel).numpy(), wanted, rtol=1e-6)

    def test_it_is_recorded(self) -> None:
        layer = layers.BatchNormalization(momentum=0.5)
        layer.build((None, 3))
        step = gpudl.traced(lambda free, fixed, x: layer.stateless_call(free, fixed, x, training=True)[1])
        free, fixed = ([v.value for v in layer.trainable_variables], [v.value for v in layer.non_trainable_variables])
        for _ in range(3):
            fixed = step(free, fixed, X)
        np.testing.assert_allclose(fixed[0].numpy(), X.mean(0) * (1 - 0.5**3), rtol=1e-6)
        np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(3))

    def test_what_it_refuses(self) -> None:
        layer = layers.Dense(2, name="d")
        with pytest.raises(
            ValueError, match=r'^Dense "d" must be built before stateless_call\(\): call it on a batch, or'
        ):
            layer.stateless_call([], [], X)
        layer.build((None, 3))
        with pytest.raises(ValueError, match=r"`trainable_variables` must be a list of tensors, one for each of the 2"):
            layer.stateless_call([], [], X)
        with pytest.raises(gpudl.ShapeError, match=r"the variable 'd/kernel' has shape \(3, 2\), got a value of shape"):
            layer.stateless_call([np.ones((2, 2)), np.ones(2)], [], X)
        assert layer(X).shape == (2, 2)

    def test_scopes(self) -> None:
        v = gpudl.Variable(1.0)
        with gpudl.StatelessScope() as scope:
            assert scope.get_current_value(v) is None
            v.assign(3.0)
            v.assign_sub(1.0)
            assert float(v.value) == float(v * 1) == 2.0
            with gpudl.StatelessScope([(v, 9.0)]):
                assert float(v * 1) == 9.0
        assert (float(scope.get_current_value(v)), float(v)) == (2.0, 1.0)
        with pytest.raises(ValueError, match="the values are given for variables, got one for 3"):
            gpudl.StatelessScope([(3, v)])


class TestSymbols:
    def test_specs_remember_no_call(self) -> None:
        layer = layers.Dense(4, dtype="float16")
        spec = layer.compute_output_spec(KerasTensor((None, 3)))
        assert (spec.shape, spec.dtype, spec.call) == ((None, 4), "float16", None)
        y = layer.symbolic_call(Input((3,)))
        assert y.call.operation is layer

    def test_several_shapes(self) -> None:
        class Both(Layer):
            def call(self, x: Any, y: Any) -> Any:
                return {"sum": x["a"] + y, "first": x["a"][:, :1]}

        wanted = {"sum": (None, 3), "first": (None, 1)}
        assert Both().compute_output_shape({"a": (None, 3)}, (None, 3)) == wanted
        assert Both().compute_output_shape(x_shape={"a": (None, 3)}, y_shape=(None, 3)) == wanted

    def test_who_writes_the_shape_knows_better(self) -> None:
        class Said(Layer):
            def compute_output_shape(self, input_shape: Any) -> Any:
                return (*input_shape[:-1], 7)

        assert Said().compute_output_spec(KerasTensor((None, 3))).shape == (None, 7)


class TestStores:
    def test_build_configs(self) -> None:
        class Both(Layer):
            def build(self, x_shape: Any, y_shape: Any) -> None:
                self.w = self.add_weight((x_shape[-1], y_shape[-1]))

            def call(self, x: Any, y: Any) -> Any:
                return x @ self.w + y

        both, dense = Both(), layers.Dense(2)
        assert dense.get_build_config() is None
        dense(X)
        both(X, X)
        assert dense.get_build_config() == {"input_shape": (None, 3)}
        assert both.get_build_config() == {"shapes_dict": {"x_shape": (None, 3), "y_shape": (None, 3)}}
        for layer in (both, dense):
            made = type(layer).from_config(layer.get_config())
            made.build_from_config(layer.get_build_config())
            assert made.built
            assert [w.shape for w in made.weights] == [w.shape for w in layer.weights]

    def test_own_variables_go_out_and_in(self) -> None:
        layer, twin = (layers.BatchNormalization(name="b") for _ in range(2))
        layer(X, training=True)
        store: dict[str, np.ndarray] = {}
        layer.save_own_variables(store)
        assert list(store) == ["0", "1", "2", "3"]
        text = (
            r'^BatchNormalization "b" expected 0 variables, got 4\. It is not built: the build\(\) of the layer around'
        )
        with pytest.raises(ValueError, match=text):
            twin.load_own_variables(store)
        twin.build((None, 3))
        twin.load_own_variables(store)
        np.testing.assert_array_equal(twin(X).numpy(), layer(X).numpy())
        with pytest.raises(
            ValueError, match=r"expected 4 variables, got 1\. Expected: gamma, beta, moving_mean, moving_v"
        ):
            twin.load_own_variables({"0": store["0"]})
        stack = Sequential([layers.Dense(2), layer])
        stack.save_own_variables(empty := {})
        assert empty == {}

    def test_copies_and_pickles_know_what_they_were_built_for(self) -> None:
        layer = layers.Dense(2, name="d")
        layer(X)
        for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert (made.path, made.get_build_config()) == ("d", {"input_shape": (None, 3)})
            np.testing.assert_array_equal(made(X).numpy(), layer(X).numpy())


class TestCalls:
    def test_training_is_what_call_says_where_nobody_else_does(self) -> None:
        seen: list[Any] = []

        class Asks(Layer):
            def call(self, x: Any, training: Any = True) -> Any:
                seen.append(training)
                return x

        class Around(Layer):
            def __init__(self) -> None:
                super().__init__()
                self.inner = Asks()

            def call(self, x: Any, training: Any = None) -> Any:
                seen.append(training)
                return self.inner(x)

        Asks()(X)
        Around()(X)
        Around()(X, training=False)
        Around()(X, training=True)
        assert seen == [True, None, True, False, False, True, True]

    @pytest.mark.parametrize("name", ["a/b", 3])
    def test_names(self, name: Any) -> None:
        with pytest.raises(ValueError, match=rf"^the name of a layer is text without a slash, got {name!r}\.$"):
            layers.Dense(2, name=name)

    def test_quantize(self) -> None:
        with pytest.raises(NotImplementedError, match=r'^Dense "d": quantize\(\) is not supported\. dtype='):
            layers.Dense(2, name="d").quantize("int8")
