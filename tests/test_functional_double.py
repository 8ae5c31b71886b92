"""Functional networks on the strict double of CuPy: they train as on NumPy, replayed, and no step transfers a thing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cuda_cpu import optimized
from strict_cupy import Meter, installed

import gpudl
from gpudl import Input, Model, Sequential, backend, layers, ops

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")

SAMPLES, BATCH = 8, 4
# One rounding error in each number at each of four steps in each of ten layers.
ROUNDING = 4 * 10 * np.finfo(np.float32).eps
rng = np.random.default_rng(0)
PICTURES = rng.random((SAMPLES, 8, 8, 1), dtype=np.float32)
TABLE = rng.random((SAMPLES, 2), dtype=np.float32)
DIGITS = rng.integers(10, size=SAMPLES)
SIGNS = rng.integers(5, size=(SAMPLES, 4))
STEPS = rng.random((SAMPLES, 3, 2), dtype=np.float32)
NUMBERS = rng.random((SAMPLES, 1), dtype=np.float32)


@pytest.fixture(autouse=True)
def _optimized() -> Iterator[None]:
    with optimized():
        yield


@pytest.fixture
def meter() -> Iterator[Meter]:
    with installed() as meter:
        yield meter


def residual() -> tuple[Model, Any, Any]:
    """Return a network with a block whose input is added to its output, and data for it."""
    x = inputs = Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x))
    x = layers.Activation("relu")(layers.Add()([x, y]))
    model = Model(inputs, layers.Dense(10, "softmax")(layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, PICTURES, DIGITS


def two_and_two() -> tuple[Model, Any, Any]:
    """Return a network of a picture and a table, which tells a class and a number, and data for it."""
    picture, size = Input((8, 8, 1), name="picture"), Input((2,), name="size")
    zone = layers.Dense(10, "softmax", name="zone")(layers.Flatten()(picture))
    cost = layers.Dense(1, name="cost")(layers.Concatenate()([zone, size]))
    model = Model({"picture": picture, "size": size}, {"zone": zone, "cost": cost})
    losses = {"zone": "sparse_categorical_crossentropy", "cost": "mse"}
    model.compile("sgd", losses, loss_weights={"zone": 1.0, "cost": 0.5}, metrics={"cost": ["mae"]})
    return model, {"picture": PICTURES, "size": TABLE}, {"zone": DIGITS, "cost": NUMBERS}


def siamese() -> tuple[Model, Any, Any]:
    """Return a network with a tower that two inputs share, and data for it."""
    tower = Sequential([layers.Flatten(), layers.Dense(6, "tanh"), layers.Dense(3)])
    left, right = Input((8, 8, 1)), Input((8, 8, 1))
    model = Model([left, right], layers.Dense(1, "sigmoid")(ops.absolute(tower(left) - tower(right))))
    model.compile("sgd", "binary_crossentropy")
    return model, [PICTURES, PICTURES[::-1].copy()], (NUMBERS > 0.5).astype(np.float32)


def encoder_and_decoder() -> tuple[Model, Any, Any]:
    """Return a recurrent network in two parts, with masks and states, and data for it."""
    read, written = Input((4,), dtype="int32"), Input((3, 2))
    signs = layers.Embedding(5, 3, mask_zero=True)(read)
    ys, *states = layers.LSTM(4, return_sequences=True, return_state=True)(signs)
    back = layers.Bidirectional(layers.GRU(4, dropout=0.2, recurrent_dropout=0.2, seed=1))(ys)
    y = layers.LSTM(4)(written, initial_state=states)
    model = Model([read, written], layers.Dense(1)(layers.Concatenate()([back, y])))
    model.compile("sgd", "mse")
    return model, [SIGNS, STEPS], NUMBERS


MAKERS: dict[str, Callable[[], tuple[Model, Any, Any]]] = {
    "residual": residual,
    "two and two": two_and_two,
    "siamese": siamese,
    "encoder and decoder": encoder_and_decoder,
}


def trained(name: str, *, eagerly: bool = False) -> np.ndarray:
    """Return the weights and losses of a short training, in a row."""
    gpudl.utils.set_random_seed(1)
    model, x, y = MAKERS[name]()
    model.run_eagerly = eagerly
    history = model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0).history
    return np.concatenate([*(w.reshape(-1) for w in model.get_weights()), *(history[key] for key in sorted(history))])


@pytest.mark.parametrize("name", MAKERS)
def test_a_training_gives_what_it_gives_op_by_op_and_what_numpy_gives(name: str) -> None:
    expected = trained(name)
    np.testing.assert_array_equal(trained(name, eagerly=True), expected)
    with installed():
        backend.use("cupy")
        replayed = trained(name)
    assert np.linalg.norm(replayed - expected) < ROUNDING * np.linalg.norm(expected)


class Transfers(gpudl.callbacks.Callback):
    """Notes what each step takes to the device, what it brings back, and how often it waits."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.steps: list[tuple[int, ...]] = []

    def _taken(self) -> tuple[int, ...]:
        return self.meter.host_to_device, self.meter.device_to_host, self.meter.synchronizations

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._before = self._taken()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append(tuple(np.subtract(self._taken(), self._before)))


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_transfers_nothing(name: str, meter: Meter) -> None:
    backend.use("cupy")
    model, x, y = MAKERS[name]()
    transfers = Transfers(meter)
    model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0, callbacks=[transfers])
    assert len(transfers.steps) == 6
    assert set(transfers.steps[2:]) == {(0, 0, 0)}
