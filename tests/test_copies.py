"""Copies and pickles of models and of what is in them: nothing shared with the original, nothing lost."""

from __future__ import annotations

import copy
import pickle
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from layer_cases import CASES, Case
from strict_cupy import installed

import gpudl
from gpudl import Model, Sequential, backend, callbacks, constraints, layers, losses, metrics, optimizers, regularizers
from gpudl.random import SeedGenerator


def through_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


WAYS: dict[str, Callable[[Any], Any]] = {"deepcopy": copy.deepcopy, "copy": copy.copy, "pickle": through_pickle}
rng = np.random.default_rng(0)
X, Y = rng.random((40, 6), dtype=np.float32), rng.random((40, 1), dtype=np.float32)


@pytest.fixture
def double() -> Iterator[None]:
    """Run on the double of a GPU."""
    if shutil.which("g++") is None:
        pytest.skip("the double compiles kernels with g++")
    with installed(), backend.scope("cupy"):
        yield


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


class Branches(Model):
    """A model of one's own, with layers in lists and dicts, a weight and a generator of its own, and a metric."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [layers.Dense(4, activation="tanh"), layers.Dropout(0.3)]
        self.named = {"out": layers.Dense(1, kernel_regularizer="l2")}
        self.scale = gpudl.Variable([0.5], name="scale")
        self.noise = SeedGenerator(3)
        self.seen = metrics.Mean(name="seen")

    def call(self, x: Any, training: bool = False) -> Any:
        for block in self.blocks:
            x = block(x, training=training)
        if training:
            x = x + 0.1 * gpudl.random.normal(x.shape, seed=self.noise)
        y = self.named["out"](x) * self.scale
        self.seen.update_state(y)
        return y


def stack(optimizer: Any = "adam", **options: Any) -> Sequential:
    hidden = layers.Dense(5, activation="relu", kernel_constraint=constraints.MaxNorm(1.0))
    made = Sequential([layers.Input((6,)), hidden, layers.Dropout(0.2), layers.BatchNormalization(), layers.Dense(1)])
    made.compile(optimizer, "mse", metrics=["mae"], **options)
    return made


def frozen() -> Sequential:
    made = stack()
    made.layers[0].trainable = False
    return made


def mixed() -> Sequential:
    gpudl.config.set_dtype_policy("mixed_float16")
    try:
        return stack(optimizers.LossScaleOptimizer(optimizers.Adam(), initial_scale=8.0, dynamic_growth_steps=3))
    finally:
        gpudl.config.set_dtype_policy("float32")


def own() -> Branches:
    made = Branches()
    made.compile(optimizers.SGD(0.1, momentum=0.9), losses.Huber(0.5), metrics=[metrics.MeanSquaredError()])
    return made


def plain() -> Sequential:
    made = Sequential([layers.Dense(4, activation="relu", input_shape=(6,)), layers.Dense(1)])
    made.compile("adam", "mse")
    return made


MODELS: dict[str, Callable[[], Model]] = {
    "plain": plain,
    "adam": stack,
    "weight decay": lambda: stack(optimizers.AdamW(0.01, clipnorm=1.0)),
    "eager": lambda: stack("rmsprop", run_eagerly=True),
    "frozen": frozen,
    "loss scale": mixed,
    "own": own,
}


def trained(model: Model, epochs: int = 1) -> dict[str, Any]:
    gpudl.utils.set_random_seed(5)
    history: dict[str, Any] = model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0).history
    return history


def state(model: Model) -> list[np.ndarray]:
    assert model.optimizer is not None
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def check_that_a_copy_trains_alike(name: str, before: int, way: Callable[[Any], Any]) -> None:
    gpudl.utils.set_random_seed(1)
    model = MODELS[name]()
    if before:
        trained(model, before)
    made = way(model)
    assert made.built == model.built
    assert [layer.name for layer in made.layers] == [layer.name for layer in model.layers]
    if before:
        assert_same(state(made), state(model))
    held = {id(v) for v in model.variables}
    assert not any(id(v) in held for v in made.variables)
    kept = [w.numpy() for w in model.variables]
    if not before and not model.built:  # first weights are drawn as it is built
        assert trained(made) is not None
        return
    copied = trained(made, 2)
    assert_same([w.numpy() for w in model.variables], kept)
    assert copied == trained(model, 2)
    assert_same(state(made), state(model))
    np.testing.assert_array_equal(made.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_trains_bit_for_bit_as_the_original_would_have(
    name: str, before: int, way: Callable[[Any], Any]
) -> None:
    check_that_a_copy_trains_alike(name, before, way)


def test_a_copy_on_a_gpu_trains_bit_for_bit_as_the_original_would_have(double: None) -> None:
    for way in (copy.deepcopy, through_pickle):
        check_that_a_copy_trains_alike("plain", 1, way)


def test_a_copy_predicts_with_its_own_weights(way: Callable[[Any], Any]) -> None:
    model = stack()
    before = model.predict(X, verbose=0)
    made = way(model)
    made.set_weights([0 * w for w in made.get_weights()])
    assert np.abs(made.predict(X, verbose=0)).max() == 0
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_a_model_that_is_neither_built_nor_compiled(way: Callable[[Any], Any]) -> None:
    for model in (Sequential([layers.Dense(2)]), Branches(), Sequential()):
        made = way(model)
        assert not made.built
        assert not made.compiled
        assert made.optimizer is None
        if made.layers:
            made.predict(X, verbose=0)
            assert not model.built


def test_a_history_comes_with_its_model(way: Callable[[Any], Any]) -> None:
    model = stack()
    history = model.fit(X, Y, verbose=0)
    made = way(history)
    assert isinstance(made, callbacks.History)
    assert made.history == history.history
    if way is not copy.copy:
        assert made.model is not model
        assert made.model.history is made
    np.testing.assert_array_equal(made.model.predict(X, verbose=0), model.predict(X, verbose=0))
    again = way(model)
    assert again.history is not history
    assert again.history.history == history.history
    assert again.history.model is again


def test_what_is_shared_in_one_pickle_stays_shared() -> None:
    shared = layers.Dense(6)
    first = Sequential([layers.Input((6,)), shared])
    second = Sequential([layers.Input((6,)), shared, layers.Dense(1)])
    for duplicate in (through_pickle, copy.deepcopy):
        one, two, layer, weight = duplicate((first, second, shared, shared.kernel))
        assert one.layers[0] is layer
        assert two.layers[0] is layer
        assert layer.kernel is weight
        two.compile("adam", "mse")
        two.fit(X, Y, verbose=0)
        assert layer.kernel is weight
        np.testing.assert_allclose(one.predict(X, verbose=0), X @ weight.numpy() + layer.bias.numpy(), rtol=1e-5)
        assert not np.array_equal(weight.numpy(), shared.kernel.numpy())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, through_pickle])
def test_an_optimizer_with_its_variables(duplicate: Callable[[Any], Any]) -> None:
    w, gradient = gpudl.Variable([1.0, 2.0]), [[0.5, 0.25]]
    optimizer = optimizers.Adam(0.1)
    optimizer.apply(gradient, [w])
    held, made = duplicate((w, optimizer))
    assert int(made.iterations) == 1
    assert float(made.learning_rate) == np.float32(0.1)
    for each, variable in ((optimizer, w), (made, held)):
        each.apply(gradient, [variable])
    assert held is not w
    np.testing.assert_array_equal(held.numpy(), w.numpy())
    assert_same([v.numpy() for v in made.variables], [v.numpy() for v in optimizer.variables])


THINGS = [
    *(getattr(losses, name)() for name in ("MeanSquaredError", "Huber", "BinaryCrossentropy", "KLDivergence")),
    *(getattr(metrics, name)() for name in ("Mean", "Sum", "BinaryAccuracy", "MeanAbsoluteError")),
    *(getattr(optimizers, name)() for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")),
    *(regularizers.L1L2(0.1, 0.2), constraints.UnitNorm(), gpudl.initializers.HeNormal(3), SeedGenerator(1)),
    callbacks.EarlyStopping("loss", patience=2),
    gpudl.mixed_precision.Policy("mixed_bfloat16"),
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_what_models_are_made_of(thing: Any, way: Callable[[Any], Any]) -> None:
    made = way(thing)
    assert type(made) is type(thing)
    if hasattr(thing, "get_config"):
        assert made.get_config() == thing.get_config()


@pytest.mark.parametrize("case", {case.kind: case for case in CASES}.values(), ids=lambda case: case.kind)
def test_every_layer(case: Case) -> None:
    layer, x = case.layer(), case.inputs()
    for made in (copy.deepcopy(layer), through_pickle(layer)):
        assert made.get_config() == layer.get_config()
        np.testing.assert_array_equal(made(x).numpy(), layer(x).numpy())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool"])
def test_tensors_and_variables(dtype: str, way: Callable[[Any], Any]) -> None:
    tensor = gpudl.convert_to_tensor([[1, 0, 1]], dtype)
    made = way(tensor)
    np.testing.assert_array_equal(made.numpy(), tensor.numpy())
    assert made.dtype == tensor.dtype
    if dtype == "float32":
        variable = gpudl.Variable(tensor, trainable=False, name="v")
        other = way(variable)
        other.assign_add(tensor)
        np.testing.assert_array_equal(variable.numpy(), tensor.numpy())
        assert (other.name, other.trainable, other.path) == ("v", False, "v")
        result = gpudl.Variable([2.0]) * 3
        assert way(result).node is None
        assert way(result).numpy() == 6
    symbolic = gpudl.Tensor(None, tensor.spec)
    assert way(symbolic).spec == tensor.spec


def test_a_copy_stays_on_its_device_and_a_pickle_comes_to_the_current_one(double: None) -> None:
    with backend.scope("numpy"):
        v = gpudl.Variable([1.0])
    assert backend.of(copy.deepcopy(v).data).name == "numpy"
    assert backend.of(through_pickle(v).data) is backend.current()


def test_a_recorded_function_is_copied_without_its_plans(way: Callable[[Any], Any]) -> None:
    step = gpudl.traced(gpudl.ops.exp)
    step(np.ones(3, np.float32))
    made = way(step)
    assert made.entries == {}
    np.testing.assert_array_equal(made(np.zeros(3, np.float32)).numpy(), np.ones(3))
