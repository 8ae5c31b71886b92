"""What a layer holds, in Keras's order and under Keras's paths; what it adds to the loss; what it refuses."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import Input, Model, Sequential, layers, metrics, ops
from gpudl.layers import Layer

X = np.ones((2, 3), np.float32)
LISTS = ("weights", "variables", "trainable_variables", "non_trainable_variables", "trainable_weights")
LISTS += ("non_trainable_weights",)


def program(k: Any) -> Any:
    """Return a layer of layers, written for Keras, of gpudl or of Keras."""

    class Inner(k.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, input_shape: Any) -> None:
            self.fixed = self.add_weight(shape=(1,), name="fixed", trainable=False)
            self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w", regularizer="l2")

        def call(self, x: Any) -> Any:
            self.add_loss(k.ops.sum(x) * self.w[0])
            return x

    class Outer(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.seen = k.metrics.Mean(name="seen")
            self.generator = k.random.SeedGenerator(1)
            self.inner = Inner(name="inner")
            self.items = [
                k.layers.Dense(2, kernel_regularizer="l1", kernel_initializer="ones", name="d"),
                {"b": k.layers.BatchNormalization(name="b")},
            ]
            self.drop = k.layers.Dropout(0.5)
            self.pair = (k.layers.Dense(2, name="last"),)
            self.free = k.Variable(1.0, name="free")

        def build(self, input_shape: Any) -> None:
            self.own = self.add_weight(shape=(1,), name="own", regularizer="l1", initializer="ones")
            self.resting = self.add_weight(shape=(1,), name="resting", trainable=False)
            self.inside = k.Variable([1.0, 2.0], name="inside")
            self.late = self.add_variable((2,), "ones", name="late")

        def call(self, x: Any, training: bool = False) -> Any:
            self.add_loss([k.ops.sum(x)])
            self.seen.update_state(x)
            return self.pair[0](self.drop(self.items[1]["b"](self.items[0](self.inner(x)))))

    return Outer


def _unnumbered(path: str) -> str:
    return re.sub(r"seed_generator(_\d+)?/", "seed_generator/", path)


@parity
@pytest.mark.parametrize("around", ["layer", "sequential", "functional"])
def test_state_is_keras_in_order_and_paths(around: str) -> None:
    keras = keras_or_skip()
    told: list[Any] = []
    for k in (keras, gpudl):
        layer = program(k)(name="outer")
        if around == "layer":
            whole = layer
        elif around == "sequential":
            whole = k.Sequential([k.Input((3,)), layer], name="stack")
        else:
            x = k.Input((3,))
            whole = k.Model(x, layer(x), name="graph")
        for frozen in (False, True):
            whole.trainable = not frozen
            whole(X)
            paths = {name: [_unnumbered(v.path) for v in getattr(whole, name)] for name in LISTS}
            losses = np.array([float(loss) for loss in whole.losses])
            counted = [m.name for m in whole.metrics], [v.name for v in whole.metrics_variables]
            told.append((paths, losses.round(5).tolist(), counted, layer.inner.path))
    for theirs, ours in zip(told[:2], told[2:], strict=True):
        for one, other in zip(theirs, ours, strict=True):
            assert other == one


def test_dtypes_are_text() -> None:
    layer = layers.Dense(2, dtype="mixed_float16")
    names = (layer.dtype, layer.variable_dtype, layer.compute_dtype, layer.input_dtype)
    assert names == ("float32", "float32", "float16", "float16")
    assert all(type(name) is str for name in names)


class TestAddWeight:
    def test_defaults(self) -> None:
        layer = Layer(name="l")
        made = [layer.add_weight(shape=shape) for shape in ((), (2,), [2, 3])]
        assert [v.shape for v in made] == [(), (2,), (2, 3)]
        assert all(np.any(v.numpy()) for v in made)
        assert len({v.path for v in made}) == 3
        assert layer.add_weight().shape == ()
        for dtype in ("int32", "bool"):
            weight = layer.add_weight((2,), dtype=dtype, trainable=False, aggregation="mean")
            assert (weight.dtype, weight.numpy().any(), weight.aggregation) == (dtype, False, "mean")

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"shape": "kernel"}, "the name of a weight is given by keyword: add_weight(shape=..., name='kernel')."),
            ({"shape": (None, 2), "name": "w"}, "weight 'w' cannot have shape (None, 2): the inputs must have a known"),
            ({"shape": 3}, "add_weight: shape must be a tuple of sizes, got 3. Write shape=(3,), with the comma."),
            ({"shape": (2,), "regularizer": "l3"}, "Unknown regularizer: 'l3'."),
            ({"shape": (2,), "aggregation": "all"}, "the aggregation of a variable is one of None, 'none', 'mean',"),
            ({"shape": (2,), "name": "a/b"}, "the name of a variable is text without a slash, got 'a/b'."),
        ],
    )
    def test_what_it_refuses(self, arguments: dict[str, Any], text: str) -> None:
        layer = Layer()
        with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
            layer.add_weight(**arguments)
        assert layer.weights == []

    def test_gradients_that_overwrite(self) -> None:
        with pytest.raises(NotImplementedError, match=r"overwrite_with_gradient=True\) is not supported"):
            Layer().add_weight((2,), overwrite_with_gradient=True)

    @pytest.mark.parametrize("what", ["a weight", "a layer", "a generator", "a metric"])
    def test_no_state_is_made_in_call(self, what: str) -> None:
        class Growing(Layer):
            def call(self, x: Any) -> Any:
                if what == "a weight":
                    self.add_weight(shape=(1,))
                self.extra = {"a layer": [layers.Dense(2)], "a metric": metrics.Mean()}.get(
                    what, gpudl.random.SeedGenerator(1)
                )
                return x

        layer = Growing(name="g")
        with pytest.raises(
            ValueError, match=r'^Growing "g": you cannot add new elements of state \(variables or layers'
        ):
            layer(X)
        assert layer.variables == []

    def test_state_may_be_made_before_and_between_calls(self) -> None:
        class Early(Layer):
            def __init__(self) -> None:
                self.some = True
                self.w = gpudl.Variable([1.0])
                super().__init__()

            def call(self, x: Any) -> Any:
                self.last = self.w
                return x * self.w

        layer = Early()
        layer(X)
        layer.head = layers.Dense(2)
        assert layer.weights == [layer.w]
        layer.head(X)
        assert len(layer.weights) == 3


class TestLosses:
    def test_what_is_no_tensor(self) -> None:
        layer = layers.Identity(name="i")
        for wrong in (3.0, "a", np.float32(1), None, lambda: 1.0):
            with pytest.raises(
                ValueError, match=r'^Identity "i": add_loss\(\) takes a tensor that was computed in call'
            ):
                layer.add_loss(wrong)
        with pytest.raises(ValueError, match="got a symbolic tensor, which has no value"):
            layer.add_loss(Input((3,)))
        assert layer.losses == []
        with pytest.raises(
            NotImplementedError, match=r'^Identity "i": layers have no add_metric\(\) any more\. Give the'
        ):
            layer.add_metric(3, name="x")

    def test_losses_added_while_building(self) -> None:
        class Once(Layer):
            def build(self, input_shape: Any) -> None:
                self.add_loss(ops.sum(self.add_weight((2,), "ones")))

            def call(self, x: Any) -> Any:
                return x

        layer = Once()
        layer(X)
        assert [float(loss) for loss in layer.losses] == [2.0]
        layer(X)
        assert layer.losses == []

    def test_losses_of_layers_in_nested_models(self) -> None:
        def model(inner: Layer) -> Model:
            x = Input((3,))
            return Model(x, layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")(inner(x)))

        adding = layers.ActivityRegularization(l1=1.0)
        outer = model(model(adding))
        assert len(outer.losses) == 2
        outer(X)
        assert [float(loss) for loss in outer.losses] == pytest.approx([3.0, 0.03, 0.01])
        stack = Sequential([outer, adding])
        stack(X)
        assert len(stack.losses) == 4

    def test_training_minimises_them(self) -> None:
        class Pulled(Layer):
            def build(self, input_shape: Any) -> None:
                self.w = self.add_weight((1,), "ones")

            def call(self, x: Any) -> Any:
                self.add_loss(ops.square(self.w - 3.0))
                return x * self.w

        model = Sequential([Input((3,)), Pulled()])
        model.compile(gpudl.optimizers.SGD(0.1))
        history = model.fit(X, epochs=40, verbose=0)
        assert float(model.layers[0].w.numpy()[0]) == pytest.approx(3.0, abs=1e-3)
        assert history.history["loss"][0] == pytest.approx(4.0)


@parity
def test_new_layers_are_built_where_keras_has_them_so() -> None:
    keras = keras_or_skip()
    arguments: dict[str, tuple[Any, ...]] = {
        **dict.fromkeys(("Dense", "RepeatVector", "LSTM", "AveragePooling3D"), (2,)),
        **dict.fromkeys(("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout2D"), (0.5,)),
        "Activation": ("relu",),
        "Permute": ((1,),),
        "Reshape": ((2,),),
    }
    names = """ReLU LeakyReLU PReLU ELU Softmax Identity Masking UnitNormalization ActivityRegularization Flatten Add
        UpSampling2D MaxPooling1D GlobalMaxPooling2D GlobalAveragePooling1D ZeroPadding2D BatchNormalization"""
    for name in [*arguments, *names.split()]:
        own, theirs = (getattr(library.layers, name)(*arguments.get(name, ())) for library in (gpudl, keras))
        assert (name, own.built, own.path) == (name, theirs.built, theirs.path)


def test_a_layer_with_a_build_of_its_own_is_not_built_when_it_is_made() -> None:
    class Scaled(layers.Dropout):
        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs: Any, training: bool = False) -> Any:
            return super().call(inputs, training=training) * self.scale

    layer = Scaled(0.5)
    assert not layer.built
    assert layer(np.ones((2, 3))).shape == (2, 3)
    assert [weight.shape for weight in layer.weights] == [(3,)]
