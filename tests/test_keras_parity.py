"""The tutorials' networks, step by step beside Keras: the same weights, the same batches, the same numbers.

Keras in float64 is the measure. A training in float32, whoever does it, keeps within rounding of it until a rounded
activation changes sides at a ReLU or wins a max-pooling that it should not; from there on the two part. That happens
by chance and seldom in few samples, so each comparison starts from several weights and takes the median.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from digit_files import digits
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl.cli import network

NETWORKS = ("mnist-mlp", "mnist-cnn")
OPTIMIZERS = ("rmsprop", "adam")
STEPS, BATCH, STARTS = 20, 8, 5
LOSS = "categorical_crossentropy"
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


def seed() -> None:
    """Seed what draws the weights; from inside a test, for a plugin seeds at random after the fixtures."""
    gpudl.utils.set_random_seed(1)


def data(name: str, count: int, dtype: str = "float32") -> Data:
    images, labels = digits(300)
    shape = (-1, 28 * 28) if name == "mnist-mlp" else (-1, 28, 28, 1)
    return images[:count].reshape(shape).astype(dtype), labels[:count].astype(dtype)


def peer(keras: Any, ours: gpudl.Sequential, dtype: str = "float32") -> Any:
    """Return Keras's network with the layers, names and weights of ours."""
    stack = [keras.layers.Input(ours.input_shape[1:], dtype=dtype)]
    for layer in ours.layers:
        config = layer.get_config()
        same = ("name", "units", "filters", "kernel_size", "pool_size", "activation")
        kept = {key: config[key] for key in same if key in config}
        stack.append(getattr(keras.layers, type(layer).__name__)(**kept, dtype=dtype))
    theirs = keras.Sequential(stack, name=ours.name)
    theirs.set_weights(ours.get_weights())
    return theirs


@dataclass
class Course:
    """The loss of each step of a training, and all weights after the last one."""

    losses: np.ndarray
    weights: np.ndarray

    def distance(self, other: Course) -> np.ndarray:
        """Return the largest difference of two losses, and the Euclidean distance of the weights."""
        return np.array([np.abs(self.losses - other.losses).max(), np.linalg.norm(self.weights - other.weights)])


def restart(model: Any, weights: list[np.ndarray]) -> None:
    """Set the weights, and the optimizer as it was before its first step."""
    model.set_weights(weights)
    for variable in model.optimizer.variables:
        if variable.name != "learning_rate":
            variable.assign(np.zeros(variable.shape, np.asarray(variable).dtype))


def courses(
    model: Any, optimizer: str, starts: list[Any], x: np.ndarray, y: np.ndarray, **options: Any
) -> list[Course]:
    """Train once from each of the starting weights."""
    model.compile(optimizer=optimizer, loss=LOSS, metrics=["accuracy"], **options)
    done = []
    for weights in starts:
        restart(model, weights)
        batches = (slice(start, start + BATCH) for start in range(0, len(x), BATCH))
        losses = [float(model.train_on_batch(x[rows], y[rows])[0]) for rows in batches]
        flat = [np.asarray(w, np.float64).reshape(-1) for w in model.get_weights()]
        done.append(Course(np.array(losses), np.concatenate(flat)))
    return done


def middle(some: list[Course], others: list[Course]) -> np.ndarray:
    return np.median([a.distance(b) for a, b in zip(some, others, strict=True)], axis=0)


@parity
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_stay_within_rounding(name: str, optimizer: str, keras: Any) -> None:
    seed()
    jax = pytest.importorskip("jax")
    x, y = data(name, STEPS * BATCH)
    model, eager = network(name), network(name)
    starts = [network(name).get_weights() for _ in range(STARTS)]
    single = courses(peer(keras, model), optimizer, starts, x, y)
    with jax.enable_x64(True):
        keras.config.set_floatx("float64")
        try:
            double = courses(peer(keras, model, "float64"), optimizer, starts, x.astype(float), y.astype(float))
        finally:
            keras.config.set_floatx("float32")
    ours = courses(model, optimizer, starts, x, y)
    for replayed, op_by_op in zip(ours, courses(eager, optimizer, starts, x, y, run_eagerly=True), strict=True):
        np.testing.assert_array_equal(replayed.losses, op_by_op.losses)
        np.testing.assert_array_equal(replayed.weights, op_by_op.weights)

    # One rounding error a step in each number.
    rounding = STEPS * np.finfo(np.float32).eps
    size = np.array([double[0].losses.max(), np.linalg.norm(double[0].weights)])
    assert (middle(ours, double) < rounding * size).all()
    assert (middle(ours, double) < 4 * middle(single, double)).all()


@parity
@pytest.mark.parametrize("name", NETWORKS)
def test_fit_evaluate_predict(name: str, keras: Any) -> None:
    seed()
    x, y = data(name, 150)
    test = data(name, 100)
    ours = network(name)
    theirs = peer(keras, ours)
    for model in (ours, theirs):
        model.compile(optimizer="rmsprop", loss=LOSS, metrics=["accuracy"])
    options: dict[str, Any] = {"epochs": 2, "batch_size": 64, "shuffle": False, "verbose": 0}
    differences, orders = [], []
    for weights in [network(name).get_weights() for _ in range(STARTS)]:
        sides = []
        for model in (ours, theirs):
            restart(model, weights)
            history = model.fit(x, y, **options, validation_data=test)
            orders.append(list(history.history))
            assert history.epoch == [0, 1]
            evaluated = model.evaluate(*test, verbose=0, return_dict=True)
            assert sorted(evaluated.values()) == sorted(model.evaluate(*test, verbose=0))
            predicted = model.predict(test[0], batch_size=48, verbose=0)
            sides.append(
                {**history.history, **{f"evaluated {k}": v for k, v in evaluated.items()}, "predicted": predicted}
            )
        one, other = sides
        assert orders[-2] == orders[-1]
        assert one.keys() == other.keys()
        assert one["predicted"].dtype == other["predicted"].dtype
        differences.append([np.abs(np.subtract(one[key], other[key])).max() for key in one])
    assert ours.metrics_names[0] == theirs.metrics_names[0] == "loss"
    middle_of_each = dict(zip(one, np.median(differences, axis=0), strict=True))
    assert middle_of_each.pop("predicted") < 1e-4
    assert max(middle_of_each.values()) < 1e-5, middle_of_each


@parity
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_weights_predict_the_same(name: str, keras: Any) -> None:
    seed()
    x, _ = data(name, 100)
    ours = network(name)
    theirs = peer(keras, ours)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-7)


@parity
@pytest.mark.parametrize("width", [None, 72])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_summaries_are_equal(name: str, width: int | None, keras: Any) -> None:
    seed()
    x, y = data(name, 32)
    ours = network(name)
    theirs = peer(keras, ours)
    theirs.compile(optimizer="rmsprop", loss=LOSS, metrics=["accuracy"])
    for trained in (False, True):
        if trained:
            for model in (ours, theirs):
                model.fit(x, y, verbose=0)
        texts: list[list[str]] = [[], []]
        for model, lines in zip((ours, theirs), texts, strict=True):
            model.summary(line_length=width, print_fn=lambda text, *_, _lines=lines: _lines.append(text))
        assert "\n".join(texts[0]) == "\n".join(texts[1])
