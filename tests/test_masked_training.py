"""Masks from the layer that makes them to the loss and the metrics: in fit, evaluate and steps that are replayed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import Input, Model, Sequential, layers

RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 5, (12, 7))
IDS[:, 0] = 1  # no sample is masked altogether
Y = RNG.random((12, 7, 1), dtype=np.float32)
WEIGHT = RNG.random((12, 7), dtype=np.float32)
COUNTED = (IDS > 0).astype(np.float32)


def stack(k: Any, last: int = 1) -> Any:
    inner = [k.layers.Embedding(5, 4, mask_zero=True), k.layers.Dropout(0.0), k.layers.Dense(last)]
    return k.Sequential([k.Input((7,), dtype="int32"), *inner])


def graph(k: Any) -> Any:
    x = k.Input((7,), dtype="int32")
    hidden = k.layers.Embedding(5, 4, mask_zero=True)(x)
    both = k.layers.Add()([k.layers.Dense(3)(hidden), k.layers.Dense(3)(hidden)])
    return k.Model(x, k.layers.Dense(1)(k.layers.BatchNormalization()(both)))


def padded(k: Any) -> Any:
    x = k.Input((7, 2))
    return k.Model(x, k.layers.Dense(1)(k.layers.Masking(0.0)(x)))


MODELS = {"stack": (stack, IDS), "graph": (graph, IDS), "padded": (padded, np.stack([IDS, IDS], -1).astype("float32"))}


@parity
@pytest.mark.parametrize("name", MODELS)
def test_training_is_keras(name: str) -> None:
    make, x = MODELS[name]
    weights: Any = None
    found = []
    for k in (keras_or_skip(), gpudl):
        model = make(k)
        model.compile(
            k.optimizers.SGD(0.1),
            k.losses.MeanSquaredError(),
            metrics=["mae", k.metrics.RootMeanSquaredError()],
            weighted_metrics=["mse"],
        )
        weights = weights or model.get_weights()
        model.set_weights(weights)
        options: dict[str, Any] = {"batch_size": 5, "verbose": 0}
        plain = model.evaluate(x, Y, return_dict=True, **options)
        weighted = model.evaluate(x, Y, sample_weight=WEIGHT, return_dict=True, **options)
        losses = model.fit(x, Y, sample_weight=WEIGHT, epochs=2, shuffle=False, **options).history["loss"]
        # On JAX the metrics of Keras's fit, other than those of evaluate, do not see the mask.
        found.append((plain, weighted, dict(enumerate(losses)), model.get_weights()))
    theirs, ours = found
    for one, other in zip(ours[:3], theirs[:3], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for one, other in zip(ours[3], theirs[3], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_what_is_masked_does_not_count() -> None:
    model = stack(gpudl)
    model.compile("sgd", "mse", metrics=["mae"])
    found = model.evaluate(IDS, Y, verbose=0, return_dict=True)
    error = (model.predict(IDS, verbose=0) - Y)[..., 0]
    assert found["loss"] == pytest.approx((error**2 * COUNTED).sum() / COUNTED.sum(), rel=1e-5)
    assert found["mae"] == pytest.approx((abs(error) * COUNTED).sum() / COUNTED.sum(), rel=1e-5)
    other = np.where(COUNTED[..., None] > 0, Y, 100.0)
    assert model.evaluate(IDS, other, verbose=0, return_dict=True) == found


@pytest.mark.parametrize("name", MODELS)
def test_replayed_steps_are_those_computed_op_by_op(name: str) -> None:
    make, x = MODELS[name]
    found = []
    for eagerly in (False, True):
        gpudl.utils.set_random_seed(1)
        model = make(gpudl)
        model.compile("adam", "mse", metrics=["mae"], run_eagerly=eagerly)
        history = model.fit(x, Y, epochs=2, batch_size=5, verbose=0)
        found.append([*model.get_weights(), history.history["loss"], history.history["mae"]])
    for replayed, eager in zip(*found, strict=True):
        np.testing.assert_array_equal(replayed, eager)


def test_a_mask_of_another_shape() -> None:
    class Wrong(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 1

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return None if mask is None else mask[:, :3]

    x = Input((7,), dtype="int32")
    model = Model(x, Wrong()(layers.Embedding(5, 1, mask_zero=True)(x)))
    model.compile("sgd", "mse")
    before = model.get_weights()
    for weight in (None, WEIGHT):
        with pytest.raises(gpudl.ShapeError, match=r"mask of .*shape \(5, 3\)"):
            model.fit(IDS, Y, sample_weight=weight, batch_size=5, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_layer_that_loses_the_mask_lets_every_step_count() -> None:
    model = Sequential([layers.Embedding(5, 1, mask_zero=True), layers.Reshape((7, 1))])
    model.compile("sgd", "mse")

    def loss_and_error() -> tuple[float, float]:
        return model.evaluate(IDS, Y, verbose=0), ((model.predict(IDS, verbose=0) - Y) ** 2).mean()

    with pytest.warns(UserWarning, match="does not support masking"):
        loss, error = loss_and_error()
    assert loss == pytest.approx(error, rel=1e-5)
