"""What layers do in training only: dropout and batch statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import layers, ops
from gpudl.layers import BatchNormalization, Dropout, GaussianNoise

RNG = np.random.default_rng(2)
X = RNG.normal(3.0, 2.0, (64, 5)).astype(np.float32)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    x = np.ones((200, 100), np.float32)
    y = Dropout(rate, seed=1)(x, training=True).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - rate))}
    # 20 000 draws: four standard deviations.
    assert (y == 0).mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 20_000))


def test_dropout_passes_everything_outside_of_training() -> None:
    layer = Dropout(0.5, seed=1)
    np.testing.assert_array_equal(layer(X).numpy(), X)
    np.testing.assert_array_equal(layer(X, training=False).numpy(), X)
    np.testing.assert_array_equal(Dropout(0)(X, training=True).numpy(), X)
    assert Dropout(0).variables == []
    assert len(layer.variables) == 1
    assert layer.weights == []


def test_dropout_of_everything_is_zero_with_zero_gradients() -> None:
    x = gpudl.Variable(np.array([[np.inf, -1.0, 2.0]], np.float32))
    with gpudl.GradientTape() as tape:
        y = Dropout(1)(x, training=True)
        loss = ops.sum(y)
    np.testing.assert_array_equal(y.numpy(), np.zeros((1, 3)))
    np.testing.assert_array_equal(tape.gradient(loss, x).numpy(), np.zeros((1, 3)))


def test_dropout_differs_from_call_to_call_and_repeats_under_its_seed() -> None:
    one, same, other = Dropout(0.5, seed=1), Dropout(0.5, seed=1), Dropout(0.5, seed=2)
    draws = [layer(X, training=True).numpy() for layer in (one, same, other, one)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert not np.array_equal(draws[0], draws[3])
    assert not np.array_equal(Dropout(0.5)(X, training=True).numpy(), Dropout(0.5)(X, training=True).numpy())


def test_noise_is_added_in_training_only_and_repeats_under_its_seed() -> None:
    x = np.full((200, 100), 3.0, np.float32)
    layer = GaussianNoise(0.5, seed=1)
    noise = layer(x, training=True).numpy() - x
    # 20 000 draws: four standard deviations.
    assert noise.mean() == pytest.approx(0, abs=4 * 0.5 / np.sqrt(20_000))
    assert noise.std() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(40_000))
    np.testing.assert_array_equal(GaussianNoise(0.5, seed=1)(x, training=True).numpy() - x, noise)
    assert not np.array_equal(layer(x, training=True).numpy() - x, noise)
    np.testing.assert_array_equal(layer(x).numpy(), x)
    np.testing.assert_array_equal(GaussianNoise(0)(x, training=True).numpy(), x)
    assert GaussianNoise(0.5, dtype="float16")(x, training=True).dtype == np.float16


def test_dropout_without_a_seed_has_none_in_its_config() -> None:
    assert Dropout(0.5).get_config()["seed"] is None
    assert Dropout(0.5, seed=4).get_config()["seed"] == 4
    assert Dropout(0.5, noise_shape=[None, 1]).get_config()["noise_shape"] == (None, 1)


@pytest.mark.parametrize("noise_shape", [None, (None, 1), (1, 5), (64, None)])
@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_the_gradient_of_dropout_is_its_mask(noise_shape: Any, rate: float) -> None:
    layer = Dropout(rate, noise_shape, seed=1)
    x = gpudl.Variable(X)
    with gpudl.GradientTape() as tape:
        y = layer(x, training=True)
        loss = ops.sum(y * 3)
    scale = y.numpy() / X
    np.testing.assert_allclose(tape.gradient(loss, x).numpy(), 3 * scale, rtol=1e-6)
    for axis, size in enumerate(noise_shape or ()):
        if size == 1:
            np.testing.assert_allclose(scale, np.broadcast_to(scale.take([0], axis), scale.shape), rtol=1e-6)


def test_noise_shape_of_one_is_one_decision() -> None:
    layer = Dropout(0.5, (1, 1), seed=1)
    seen = {tuple(np.unique(layer(np.ones((4, 4)), training=True).numpy())) for _ in range(20)}
    assert seen == {(0.0,), (2.0,)}


def test_replayed_dropout_differs_from_step_to_step() -> None:
    layer = Dropout(0.5, seed=1)
    step = gpudl.traced(lambda x: layer(x, training=True))
    draws = [step(X).numpy() for _ in range(4)]
    copy = Dropout(0.5, seed=1)
    for draw in draws:
        np.testing.assert_array_equal(draw, copy(X, training=True).numpy())
    assert len({d.tobytes() for d in draws}) == 4


def test_moving_statistics_follow_those_of_the_batches() -> None:
    layer = BatchNormalization(momentum=0.9, moving_mean_initializer="ones")
    mean, variance = np.ones(5), np.ones(5)
    for batch in (X, 2 * X, X[:7]):
        y = layer(batch, training=True).numpy()
        wide = batch.astype(np.float64)
        mean = 0.9 * mean + 0.1 * wide.mean(axis=0)
        variance = 0.9 * variance + 0.1 * wide.var(axis=0)
        np.testing.assert_allclose(y.mean(axis=0), np.zeros(5), atol=1e-5)
        np.testing.assert_allclose(y.std(axis=0), np.ones(5), rtol=1e-3)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)
    before = layer.get_weights()
    y = layer(X).numpy()
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate(layer.get_weights()), np.concatenate(before))


def test_a_frozen_batch_normalization_is_at_inference() -> None:
    layer = BatchNormalization()
    layer(X, training=True)
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(layer(X, training=True).numpy(), layer(X).numpy())
    np.testing.assert_array_equal(np.concatenate(layer.get_weights()), np.concatenate(before))


def test_batch_normalization_of_one_sample_is_beta() -> None:
    layer = BatchNormalization(beta_initializer="ones")
    np.testing.assert_array_equal(layer(X[:1], training=True).numpy(), np.ones((1, 5)))


def test_batch_normalization_is_exact_far_from_zero() -> None:
    x = 10_000 + X
    y = BatchNormalization()(x, training=True).numpy()
    wide = x.astype(np.float64)
    np.testing.assert_allclose(y, (wide - wide.mean(axis=0)) / np.sqrt(wide.var(axis=0) + 1e-3), atol=2e-3)


def test_order_and_names_of_the_weights_of_batch_normalization() -> None:
    layer = BatchNormalization()
    layer(X)
    assert [w.name for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    bare = BatchNormalization(center=False, scale=False)
    bare(X)
    assert bare.gamma is None
    assert bare.beta is None
    assert len(bare.weights) == 2


def test_training_a_small_network_lowers_its_loss() -> None:
    gpudl.utils.set_random_seed(3)  # one start in sixteen leaves the moving averages behind after so few steps
    stack = [
        layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Dropout(0.2, seed=1),
        layers.Flatten(),
        layers.Dense(2),
    ]
    labels = np.arange(40) % 2
    images = np.random.default_rng(0).normal(0, 0.3, (40, 8, 8, 1)).astype(np.float32)
    images[labels == 1, 2:6, 2:6] += 1
    targets = np.eye(2, dtype=np.float32)[labels]

    def forward(x: Any, training: bool) -> Any:
        for layer in stack:
            x = layer(x, training=training)
        return x

    forward(images, False)
    weights = [w for layer in stack for w in layer.trainable_weights]

    def step(x: Any, y: Any) -> Any:
        loss = ops.mean(ops.square(forward(x, True) - y)) + stack[0].losses[0]
        for weight, g in zip(weights, gpudl.grad(loss, weights), strict=True):
            weight.assign(weight - g * 0.05)
        return loss

    run = gpudl.traced(step)
    losses = [float(run(images, targets)) for _ in range(60)]
    assert losses[-1] < losses[0] / 4
    assert (forward(images, False).numpy().argmax(axis=1) == labels).mean() == 1.0
