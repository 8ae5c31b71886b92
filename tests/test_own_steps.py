"""Steps of the user's own on the double of a GPU: two networks and two optimizers, and a loss by another network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cuda_cpu import optimized
from strict_cupy import Meter, installed

import gpudl
from gpudl import GradientTape, Model, Sequential, backend, callbacks, layers, losses, metrics, ops, optimizers

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(24, 3)).astype(np.float32), np.arange(24) % 2
# One rounding error in each number at each of twelve steps in each of four layers.
ROUNDING = 12 * 4 * np.finfo(np.float32).eps


@pytest.fixture(autouse=True)
def _optimized() -> Iterator[None]:
    with optimized():
        yield


def net(*units: int) -> Sequential:
    return Sequential(
        [layers.Input((3,)), *(layers.Dense(n, activation="tanh") for n in units[:-1]), layers.Dense(units[-1])]
    )


class Adversaries(Model):
    """One network draws three numbers of noise, the other tells them from the data."""

    def __init__(self) -> None:
        super().__init__()
        self.critic, self.artist = net(4, 1), net(4, 3)
        self.seen = metrics.Mean(name="critic_loss"), metrics.Mean(name="artist_loss")
        self.noise = gpudl.random.SeedGenerator(1)

    def compile(self, **options: Any) -> None:
        super().compile(optimizer=None, **options)
        self.optimizers = optimizers.Adam(0.01), optimizers.Adam(0.01)
        self.loss_of = losses.BinaryCrossentropy(from_logits=True)

    def train_step(self, data: Any) -> Any:
        noise = gpudl.random.normal(data.shape, seed=self.noise)
        with GradientTape() as tape:
            said = self.critic(ops.concatenate([data, self.artist(noise)], axis=0))
            truth = ops.concatenate([ops.ones_like(data[:, :1]), ops.zeros_like(data[:, :1])], axis=0)
            loss = self.loss_of(truth, said)
        self.learn(0, self.critic, loss, tape)
        with GradientTape() as tape:
            said = self.critic(self.artist(noise))
            loss = self.loss_of(ops.ones_like(said), said)
        self.learn(1, self.artist, loss, tape)
        return {metric.name: metric.result() for metric in self.metrics}

    def learn(self, number: int, network: Sequential, loss: Any, tape: GradientTape) -> None:
        weights = network.trainable_weights
        self.optimizers[number].apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self.seen[number].update_state(loss)


class Distilled(Model):
    """A network that learns the probabilities of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher = net(2), net(8, 2)
        self.teacher.trainable = False

    def call(self, x: Any) -> Any:
        return self.student(x)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, **rest: Any) -> Any:
        soft = ops.softmax(self.teacher(x, training=False) / 2.0), ops.softmax(y_pred / 2.0)
        return super().compute_loss(x, y, y_pred, **rest) + 4 * losses.KLDivergence()(*soft)


def adversaries(**options: Any) -> tuple[Model, tuple[Any, ...]]:
    gpudl.utils.set_random_seed(1)
    model = Adversaries()
    model.compile(**options)
    return model, (X,)


def distilled(**options: Any) -> tuple[Model, tuple[Any, ...]]:
    gpudl.utils.set_random_seed(1)
    model = Distilled()
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], **options)
    return model, (X, Y)


MODELS = pytest.mark.parametrize("make", [adversaries, distilled])


class Transfers(callbacks.Callback):
    """Notes what goes between host and device in each step."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.steps: list[tuple[int, ...]] = []

    def _taken(self) -> tuple[int, ...]:
        return self.meter.host_to_device, self.meter.device_to_host, self.meter.synchronizations

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._before = self._taken()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append(tuple(np.subtract(self._taken(), self._before)))


def trained(make: Any, **options: Any) -> tuple[Model, np.ndarray]:
    model, data = make(**options)
    model.fit(*data, batch_size=8, epochs=4, shuffle=False, verbose=0)
    return model, np.concatenate([w.reshape(-1) for w in model.get_weights()])


@MODELS
def test_replay_equals_computing_op_by_op(make: Any) -> None:
    model, replayed = trained(make)
    assert len(model._train.entries) == 1
    np.testing.assert_array_equal(replayed, trained(make, run_eagerly=True)[1])


@MODELS
def test_on_a_gpu_a_step_transfers_nothing_and_gives_the_same(make: Any) -> None:
    _, expected = trained(make)
    with installed() as meter:
        backend.use("cupy")
        model, data = make()
        transfers = Transfers(meter)
        model.fit(*data, batch_size=8, epochs=4, shuffle=False, verbose=0, callbacks=[transfers])
        weights = np.concatenate([w.reshape(-1) for w in model.get_weights()])
        assert set(transfers.steps[3:]) == {(0, 0, 0)}
        assert len(model._train.entries) == 1
    assert np.linalg.norm(weights - expected) < ROUNDING * np.linalg.norm(expected)
