"""The tutorials' networks, step by step beside Keras: the same weights, the same batches, the same numbers.

Keras in float64 is the measure. Keras in float32 drifts away from it: a rounded activation changes sides at a ReLU,
or wins a max-pooling, and the training carries that on. So gpudl has to stay within float32 rounding of the float64
numbers, and as near to Keras in float32 as that is to itself.
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
STEPS, BATCH = 20, 32
LOSS = "categorical_crossentropy"
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


@pytest.fixture(autouse=True)
def _seed() -> None:
    gpudl.utils.set_random_seed(1)


def data(name: str, count: int, dtype: str = "float32") -> Data:
    images, labels = digits(STEPS * BATCH)
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
    """The loss of each step, and all weights after the last one."""

    losses: np.ndarray
    weights: np.ndarray

    def distance(self, other: Course) -> tuple[float, float]:
        """Return the largest difference of two losses, and the Euclidean distance of the weights."""
        return np.abs(self.losses - other.losses).max(), float(np.linalg.norm(self.weights - other.weights))


def course(model: Any, optimizer: str, x: np.ndarray, y: np.ndarray, **options: Any) -> Course:
    model.compile(optimizer=optimizer, loss=LOSS, metrics=["accuracy"], **options)
    losses = []
    for start in range(0, len(x), BATCH):
        model.reset_metrics()  # so that what is returned is the loss of this batch alone
        loss, _ = model.train_on_batch(x[start : start + BATCH], y[start : start + BATCH])
        losses.append(float(loss))
    weights = [np.asarray(w, np.float64).reshape(-1) for w in model.get_weights()]
    return Course(np.array(losses), np.concatenate(weights))


@parity
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_stay_within_rounding(name: str, optimizer: str, keras: Any) -> None:
    jax = pytest.importorskip("jax")
    x, y = data(name, STEPS * BATCH)
    replayed, eager = network(name), network(name)
    eager.set_weights(replayed.get_weights())
    single = course(peer(keras, replayed), optimizer, x, y)
    with jax.enable_x64(True):
        keras.config.set_floatx("float64")
        try:
            double = course(peer(keras, replayed, "float64"), optimizer, x, y)
        finally:
            keras.config.set_floatx("float32")
    ours = course(replayed, optimizer, x, y)
    step_by_step = course(eager, optimizer, x, y, run_eagerly=True)

    np.testing.assert_array_equal(ours.losses, step_by_step.losses)
    np.testing.assert_array_equal(ours.weights, step_by_step.weights)
    # One rounding error a step in each number.
    rounding = STEPS * float(np.finfo(np.float32).eps)
    bounds = rounding * double.losses.max(), rounding * float(np.linalg.norm(double.weights))
    loss, weights = ours.distance(double)
    assert loss < bounds[0]
    assert weights < bounds[1]
    loss, weights = ours.distance(single)
    drift = single.distance(double)
    assert loss < drift[0] + bounds[0]
    assert weights < drift[1] + bounds[1]


@parity
@pytest.mark.parametrize("name", NETWORKS)
def test_fit_evaluate_predict(name: str, keras: Any) -> None:
    x, y = data(name, 300)
    test = data(name, 100)
    ours = network(name)
    theirs = peer(keras, ours)
    theirs.compile(optimizer="rmsprop", loss=LOSS, metrics=["accuracy"])
    options: dict[str, Any] = {"epochs": 2, "batch_size": 64, "shuffle": False, "verbose": 0}
    history, expected = (m.fit(x, y, **options, validation_data=test) for m in (ours, theirs))

    assert list(history.history) == list(expected.history)
    assert history.epoch == expected.epoch == [0, 1]
    for metric, values in expected.history.items():
        np.testing.assert_allclose(history.history[metric], values, rtol=1e-4, err_msg=metric)
    np.testing.assert_allclose(ours.evaluate(*test, verbose=0), theirs.evaluate(*test, verbose=0), rtol=1e-4)
    assert ours.metrics_names[0] == theirs.metrics_names[0] == "loss"
    by_name = ours.evaluate(*test, verbose=0, return_dict=True)
    assert by_name.keys() == theirs.evaluate(*test, verbose=0, return_dict=True).keys()
    predicted, wanted = (m.predict(test[0], batch_size=48, verbose=0) for m in (ours, theirs))
    assert predicted.dtype == wanted.dtype
    np.testing.assert_allclose(predicted, wanted, atol=1e-4)


@parity
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_weights_predict_the_same(name: str, keras: Any) -> None:
    x, _ = data(name, 100)
    ours = network(name)
    theirs = peer(keras, ours)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-7)


@parity
@pytest.mark.parametrize("width", [None, 72])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_summaries_are_equal(name: str, width: int | None, keras: Any) -> None:
    x, y = data(name, 64)
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
