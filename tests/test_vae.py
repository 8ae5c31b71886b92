"""A variational autoencoder: random numbers and a loss by add_loss inside a functional model, recorded and replayed."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from strict_cupy import Meter, installed

import gpudl
from gpudl import Input, Model, backend, layers, ops

SAMPLES, BATCH, STEPS = 24, 8, 3


class Sampling(layers.Layer):
    def __init__(self, weight: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = weight
        self.seed_generator = gpudl.random.SeedGenerator(3)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        divergence = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=1)
        self.add_loss(self.weight * ops.mean(divergence))
        return mean + ops.exp(0.5 * log_variance) * gpudl.random.normal(mean.shape, seed=self.seed_generator)


def autoencoder(*, eagerly: bool = False, weight: float = 0.1, plain: bool = False) -> tuple[Model, Model]:
    """Return the whole and its encoder; a plain one has few kernels, each of which the double has to compile."""
    gpudl.utils.set_random_seed(2)
    x = Input((12,))
    hidden = x if plain else layers.Dense(16, activation="tanh")(x)
    mean, log_variance = layers.Dense(2)(hidden), layers.Dense(2)(hidden)
    encoder = Model(x, [mean, log_variance, Sampling(weight)([mean, log_variance])])
    point = Input((2,))
    drawn = point if plain else layers.Dense(16, activation="tanh")(point)
    decoder = Model(point, layers.Dense(12)(drawn))
    whole = Model(x, decoder(encoder(x)[2]))
    whole.compile(gpudl.optimizers.SGD(0.1) if plain else gpudl.optimizers.Adam(0.01), "mse", run_eagerly=eagerly)
    return whole, encoder


def data() -> np.ndarray:
    """Return samples that lie near a curve: a point of a plane says nearly all of one."""
    angle = np.random.default_rng(0).uniform(0, 3, (SAMPLES, 1))
    return np.sin(angle * np.arange(1, 13) / 4).astype(np.float32)


def test_replayed_steps_are_those_computed_op_by_op() -> None:
    x, found = data(), []
    for eagerly in (False, True):
        whole, _ = autoencoder(eagerly=eagerly)
        history = whole.fit(x, x, batch_size=BATCH, epochs=3, verbose=0)
        found.append([*whole.get_weights(), np.array(history.history["loss"])])
        assert len(whole.losses) <= 1
    for replayed, eager in zip(*found, strict=True):
        np.testing.assert_array_equal(replayed, eager)


def test_it_learns_what_the_samples_are_and_keeps_its_points_near_the_normal_distribution() -> None:
    x = data()
    divergences = []
    for weight in (0.001, 0.1):
        whole, encoder = autoencoder(weight=weight)
        whole.fit(x, x, batch_size=BATCH, epochs=60, verbose=0)
        mean, log_variance, _ = encoder.predict(x, verbose=0)
        divergences.append(-0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum(axis=1).mean())
        reconstruction = ((whole.predict(x, verbose=0) - x) ** 2).mean()
        if weight == 0.001:
            assert reconstruction < 0.15 * x.var(axis=0).mean()
        whole(x)
        np.testing.assert_allclose(float(whole.losses[0]), weight * divergences[-1], rtol=1e-4)
    assert divergences[1] < 0.5 * divergences[0]


@pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
def test_on_a_gpu_a_step_transfers_nothing() -> None:
    x = data()
    expected, _ = autoencoder(plain=True)
    expected.fit(x, x, batch_size=BATCH, epochs=2, verbose=0, shuffle=False)
    costs: list[tuple[int, int]] = []
    with installed() as meter:
        backend.use("cupy")

        class Watches(gpudl.callbacks.Callback):
            def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
                meter.reset()

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                costs.append(_transfers(meter))

        whole, _ = autoencoder(plain=True)
        on_device = backend.current().asarray(x)
        options: dict[str, Any] = {"batch_size": BATCH, "epochs": 1, "verbose": 0, "shuffle": False}
        for _ in range(2):
            whole.fit(on_device, on_device, callbacks=[Watches()], **options)
        weights = whole.get_weights()
    assert costs[STEPS:] == [(0, 0)] * STEPS
    for one, other in zip(weights, expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def _transfers(meter: Meter) -> tuple[int, int]:
    return meter.host_to_device, meter.device_to_host
