"""The base of layers: building, tracking, names, losses, `training`, weights in and out."""

from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import layers, metrics, ops
from gpudl.engine.spec import ShapeError
from gpudl.layers import BatchNormalization, Dense, Dropout, Layer
from gpudl.layers.base.build_shapes import inferred_shape
from gpudl.names import clear_names
from gpudl.random import SeedGenerator

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)


class Scale(Layer):
    def build(self, input_shape: Any) -> None:
        self.built_for = input_shape
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, x: Any) -> Any:
        return x * self.factor


class Block(Layer):
    """Layers as attributes, in a list, in a dict, and appended later."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = Dense(4)
        self.middle = [Dense(4), {"norm": BatchNormalization()}]
        self.last: list[Layer] = []
        self.last.append(Dense(2, use_bias=False))
        self.drop = Dropout(0.5, seed=1)

    def call(self, x: Any) -> Any:
        x = self.middle[1]["norm"](self.middle[0](self.first(x)))
        return self.last[0](self.drop(x))


def test_a_custom_layer_needs_only_build_and_call() -> None:
    layer = Scale()
    assert not layer.built
    np.testing.assert_array_equal(layer(X).numpy(), X)
    layer.set_weights([np.array([1.0, 2.0, 3.0])])
    np.testing.assert_array_equal(layer(X).numpy(), X * [1, 2, 3])
    assert layer.built
    assert layer.built_for == (None, 3)
    copy = Scale.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    with gpudl.GradientTape() as tape:
        loss = ops.sum(layer(X))
    np.testing.assert_array_equal(tape.gradient(loss, layer.factor).numpy(), X.sum(axis=0))


def test_a_layer_needs_no_build() -> None:
    class Double(Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    layer = Double()
    np.testing.assert_array_equal(layer(X).numpy(), X * 2)
    assert layer.built
    assert layer.weights == []
    assert layer.compute_output_shape((None, 3)) == (None, 3)


def test_weights_are_made_once() -> None:
    layer = Dense(4)
    layer(X)
    kernel = layer.kernel
    layer(X[:1])
    assert layer.kernel is kernel
    assert len(layer.weights) == 2


def test_a_layer_built_by_hand_is_not_built_again() -> None:
    layer = Dense(4)
    layer.build((None, 3))
    kernel = layer.kernel
    assert layer.built
    assert layer.count_params() == 16
    layer(X)
    assert layer.kernel is kernel
    assert len(layer.weights) == 2


def test_a_build_that_failed_can_be_tried_again() -> None:
    layer = layers.Conv2D(2, 5)
    with pytest.raises(ShapeError):
        layer(np.zeros((1, 3, 3, 1)))
    assert not layer.built
    assert layer.weights == []
    assert layer(np.zeros((1, 5, 5, 3))).shape == (1, 1, 1, 2)


def test_a_build_that_fails_halfway_leaves_no_weights() -> None:
    def failing(shape: Any, dtype: Any = None) -> Any:
        raise RuntimeError("no values")

    layer = Dense(2, bias_initializer=failing)
    for start in (lambda: layer(X), lambda: layer.build((None, 3))):
        with pytest.raises(RuntimeError, match="no values"):
            start()
        assert not layer.built
        assert layer.weights == []


def test_asking_for_the_shape_builds_but_computes_nothing() -> None:
    layer = BatchNormalization(momentum=0.0)
    with gpudl.engine.state.symbolic():
        out = layer(gpudl.Tensor(None, gpudl.Spec((2, 3), np.dtype(np.float32))), training=True)
    assert out.shape == (2, 3)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(3))


def test_first_weights_are_random_when_they_are_made_while_asking_for_shapes() -> None:
    shared = gpudl.initializers.RandomNormal(seed=SeedGenerator(3))
    pair = [Dense(4, kernel_initializer=shared), Dense(4, kernel_initializer=shared)]
    for layer in pair:
        layer.compute_output_shape((None, 3))
    assert not np.array_equal(pair[0].kernel.numpy(), pair[1].kernel.numpy())


def test_a_layer_can_be_built_inside_a_recorded_step() -> None:
    layer = Dense(4, kernel_initializer=gpudl.initializers.RandomNormal(seed=SeedGenerator(3)))
    step = gpudl.traced(layer)
    first = step(X).numpy()
    np.testing.assert_array_equal(first, layer(X).numpy())
    layer.kernel.assign(np.ones((3, 4)))
    np.testing.assert_allclose(step(X).numpy(), np.repeat(X.sum(axis=1, keepdims=True), 4, axis=1))


def test_layers_in_attributes_lists_and_dicts_are_found() -> None:
    block = Block()
    block(X, training=True)
    names = [w.name for w in block.weights]
    assert names == [
        *("kernel", "bias"),
        *("kernel", "bias"),
        *("gamma", "beta", "moving_mean", "moving_variance"),
        "kernel",
    ]
    assert len(block.trainable_weights) == 7
    assert [w.name for w in block.non_trainable_weights] == ["moving_mean", "moving_variance"]
    assert len(block.variables) == 10  # the state of the generator as well
    assert block.count_params() == (3 * 4 + 4) + (4 * 4 + 4) + 16 + 8


def test_own_variables_metrics_and_generators_are_found() -> None:
    class Holder(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.count = gpudl.Variable(0.0, trainable=False, name="count")
            self.mean = metrics.Mean()
            self.generator = SeedGenerator(1)
            self.same = self.count

        def call(self, x: Any) -> Any:
            return x

    holder = Holder()
    assert holder.weights == [holder.count]
    assert list(map(id, holder.variables)) == list(map(id, (holder.count, holder.generator.state)))
    assert list(map(id, holder.metrics_variables)) == list(map(id, holder.mean.variables))
    assert holder.metrics == [holder.mean]


def test_trainable_weights_come_first() -> None:
    class Mixed(Layer):
        def build(self, input_shape: Any) -> None:
            self.fixed = self.add_weight((1,), name="fixed", trainable=False)
            self.free = self.add_weight((1,), name="free")

    layer = Mixed()
    layer.build((None, 1))
    assert [w.name for w in layer.weights] == ["free", "fixed"]
    assert [w.path for w in layer.weights] == [f"{layer.name}/free", f"{layer.name}/fixed"]


def test_freezing_reaches_everything_inside_and_can_be_undone() -> None:
    block = Block()
    block(X)
    block.trainable = False
    assert block.trainable_weights == []
    assert len(block.non_trainable_weights) == 9
    assert not block.first.trainable
    block.trainable = True
    assert len(block.trainable_weights) == 7
    frozen = Dense(2, trainable=False)
    frozen(X)
    assert frozen.trainable_weights == []
    frozen.trainable = True
    assert len(frozen.trainable_weights) == 2


def test_freezing_makes_a_recorded_step_forget_what_it_did() -> None:
    layer = BatchNormalization(center=False, scale=False, momentum=0.5)
    step = gpudl.traced(lambda x: layer(x, training=True))
    step(X)
    layer.trainable = False
    before = layer.get_weights()
    step(X)
    for now, then in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_training_reaches_layers_that_are_called_without_it() -> None:
    block = Block()
    same = [block(X).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*same)
    differ = [block(X, training=True).numpy() for _ in range(2)]
    assert not np.array_equal(*differ)
    np.testing.assert_array_equal(block.drop(X).numpy(), X)


def test_training_that_is_said_wins_over_that_around() -> None:
    class Quiet(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.drop = Dropout(0.9)

        def call(self, x: Any) -> Any:
            return self.drop(x, training=False)

    np.testing.assert_array_equal(Quiet()(X, training=True).numpy(), X)


def test_training_ends_with_the_call_even_after_an_error() -> None:
    class Failing(Layer):
        def call(self, x: Any) -> Any:
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        Failing()(X, training=True)
    np.testing.assert_array_equal(Dropout(0.9)(X).numpy(), X)


def test_names_are_numbered_like_those_of_keras() -> None:
    clear_names()
    names = [layer.name for layer in (Dense(1), Dense(1), BatchNormalization(), layers.MaxPool2D(), Dense(1, name="x"))]
    assert names == ["dense", "dense_1", "batch_normalization", "max_pooling2d", "x"]


def test_losses_are_those_of_the_weights_and_of_the_last_call() -> None:
    layer = Dense(2, kernel_regularizer="l2", bias_regularizer=gpudl.regularizers.L1(0.5), activity_regularizer="l1")
    y = layer(X)
    layer.bias.assign([1.0, -2.0])
    y = layer(X).numpy()
    kernel = layer.kernel.numpy()
    found = [float(loss) for loss in layer.losses]
    assert found == pytest.approx([0.01 * np.abs(y).sum() / len(y), 0.01 * (kernel**2).sum(), 0.5 * 3], rel=1e-5)
    layer(X)
    assert len(layer.losses) == 3
    layer.trainable = False
    assert len(layer.losses) == 1
    layer.clear_losses()
    assert layer.losses == []


def test_losses_of_layers_inside_count_once_a_call() -> None:
    class Adding(Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(ops.sum(x))
            return x

    class Twice(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Adding()

        def call(self, x: Any) -> Any:
            return self.inner(self.inner(x))

    layer = Twice()
    for _ in range(2):
        layer(X)
        assert [float(loss) for loss in layer.losses] == [15.0, 15.0]
    layer.compute_output_shape((None, 3))
    assert layer.losses == []
    gpudl.traced(layer)(X)
    assert layer.losses == []
    step = gpudl.traced(lambda x: sum(loss for loss in (layer(x), *layer.losses)[1:]))
    assert [float(step(X)), float(step(X * 2))] == [30.0, 60.0]


def test_weights_go_out_and_in() -> None:
    layer, copy = Block(), Block()
    layer(X)
    copy(X)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(X).numpy(), layer(X).numpy())
    copies = layer.get_weights()
    copies[0][...] = 7
    assert not np.array_equal(layer.get_weights()[0], copies[0])


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([np.ones((3, 2))], 'Dense "d" has 2 weights, got 1 arrays.'),
        ([np.zeros((3, 2)), np.zeros(3)], "Dense \"d\": weight 'bias' has shape (2,), got (3,)."),
        ([np.zeros((3, 2)), ["a", "b"]], "could not convert string to float: 'a'"),
        ([np.zeros((2, 3)), np.zeros(2)], "Dense \"d\": weight 'kernel' has shape (3, 2), got (2, 3)."),
    ],
)
def test_weights_that_do_not_fit_change_nothing(weights: Any, text: str) -> None:
    layer = Dense(2, name="d")
    layer(X)
    layer.set_weights([np.full((3, 2), 5.0), np.full(2, 6.0)])
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        layer.set_weights(weights)
    np.testing.assert_array_equal(layer.kernel.numpy(), np.full((3, 2), 5.0))
    np.testing.assert_array_equal(layer.bias.numpy(), np.full(2, 6.0))


def test_weights_of_a_layer_that_is_not_built() -> None:
    layer = Dense(2, name="d")
    text = r'Dense "d" has 0 weights, got 2 arrays\. It is not built yet: call it on a batch first, or build\(\) it\.'
    with pytest.raises(ValueError, match=text):
        layer.set_weights([np.zeros((3, 2)), np.zeros(2)])
    with pytest.raises(ValueError, match=r'Dense "d" has no weights yet: it is built on its first call, or by build'):
        layer.count_params()


def test_lists_of_numbers_are_a_batch() -> None:
    layer = Scale()
    assert layer([[1.0, 2.0], [3.0, 4.0]]).shape == (2, 2)
    assert layer.built_for == (None, 2)


def test_several_inputs_come_as_a_list() -> None:
    class Sum(Layer):
        def build(self, input_shape: Any) -> None:
            self.shapes = input_shape

        def call(self, inputs: Any) -> Any:
            return inputs[0] + inputs[1]

    layer = Sum()
    np.testing.assert_array_equal(layer([X, X]).numpy(), X * 2)
    assert layer.shapes == [(None, 3), (None, 3)]


def test_dtype_is_that_of_weights_and_computation() -> None:
    layer = Dense(2, dtype="float64")
    assert layer(X).dtype == np.float64
    assert {w.dtype.name for w in layer.weights} == {"float64"}
    assert layer.get_config()["dtype"]["config"] == {"name": "float64"}


def test_a_constructor_without_kwargs_can_be_made_from_its_config() -> None:
    class Plain(Layer):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.units = units

    layer = Plain(3)
    layer.name, layer.trainable = "mine", False
    copy = Plain.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert copy.get_config() == {"name": "mine", "trainable": False, "dtype": copy.get_config()["dtype"], "units": 3}


def test_layers_are_looked_up() -> None:
    assert isinstance(layers.get("MaxPool2D"), layers.MaxPooling2D)
    assert isinstance(layers.get({"class_name": "AvgPool2D", "config": {}}), layers.AveragePooling2D)
    assert layers.get(layers.Flatten).get_config()["data_format"] == "channels_last"
    custom = layers.deserialize({"class_name": "Scale", "config": {"name": "s"}}, custom_objects={"Scale": Scale})
    assert custom.name == "s"
    with pytest.raises(ValueError, match=r"Unknown layer: 'Dence'. Did you mean 'dense'\?"):
        layers.deserialize({"class_name": "Dence", "config": {}})
    assert set(layers.__all__) <= set(dir(layers))


def test_input_says_what_a_batch_looks_like() -> None:
    layer = layers.InputLayer((28, 28), batch_size=4, dtype="uint8", name="pixels")
    assert layer.batch_shape == (4, 28, 28)
    assert layer.dtype == "uint8"
    assert layer.built
    copy = layers.InputLayer.from_config(layer.get_config())
    own = {"sparse": False, "ragged": False, "name": "pixels", "optional": False}
    assert copy.get_config() == {"batch_shape": (4, 28, 28), "dtype": "uint8", **own}
    x = np.ones((4, 28, 28), np.uint8)
    np.testing.assert_array_equal(layer(x).numpy(), x)
    assert layers.InputLayer(batch_shape=(None, 3)).batch_shape == (None, 3)


def test_shape_of_the_first_layer_is_kept() -> None:
    assert Dense(2, input_shape=(3,)).batch_shape == (None, 3)
    layer = Dense(2, input_dim=3)
    assert layer.batch_shape == (None, 3)
    assert Dense.from_config(layer.get_config()).batch_shape == (None, 3)


def test_an_axis_follows_the_batch_only_where_it_does() -> None:
    assert inferred_shape(lambda x: ops.reshape(x, (-1, 2)), (None, 4), np.dtype(np.float32)) == (None, 2)
    assert inferred_shape(lambda x: (x, ops.sum(x, axis=0)), (None, 4), np.dtype(np.float32)) == ((None, 4), (4,))


def test_a_layer_without_its_base_says_so() -> None:
    class Empty(Layer):
        def __init__(self) -> None:
            pass

    with pytest.raises(RuntimeError, match=r"Empty.__init__ must begin with super\(\).__init__\(\)."):
        Empty()(X)
    with pytest.raises(NotImplementedError, match=r"Layer must implement call\(\)."):
        Layer()(X)


def test_a_weight_of_integers_starts_with_zeros() -> None:
    layer = Dense(2)
    weight = layer.add_weight((2, 3), dtype="int32", trainable=False)
    np.testing.assert_array_equal(weight.numpy(), np.zeros((2, 3), np.int32))


@pytest.mark.parametrize("name", ["Dense", "Conv2D", "MaxPooling2D", "BatchNormalization"])
def test_a_layer_that_nobody_holds_is_gone_at_once(name: str) -> None:
    arguments = {"Dense": (3,), "Conv2D": (2, 2)}.get(name, ())
    layer = getattr(layers, name)(*arguments)
    layer(np.ones((2, 4, 4, 1), np.float32))
    known = weakref.ref(layer)
    gc.collect()
    gc.disable()
    try:
        del layer
        assert known() is None
    finally:
        gc.enable()
