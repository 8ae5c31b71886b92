"""A network of layers on sequences, images and volumes on the strict double of CuPy: captured, and as on NumPy."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from strict_cupy import installed

import gpudl
from gpudl import backend, layers

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")


def network() -> gpudl.Model:
    """Return a network in which every family has a layer."""
    gpudl.utils.set_random_seed(1)
    x = layers.Input((8, 8, 4))
    y = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same")(x))
    y = layers.SeparableConv2D(6, 3, strides=2, padding="same")(y)
    y = layers.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu")(y)
    y = layers.UpSampling2D(2)(layers.Cropping2D(1)(layers.ZeroPadding2D(1)(y)))
    y = layers.AdaptiveMaxPooling2D(2)(layers.AdaptiveAveragePooling2D(3)(y))
    y = layers.Conv1D(6, 2, padding="causal")(layers.Reshape((4, 5))(y))
    y = layers.Reshape((2, 2, 1, 3))(layers.MaxPooling1D(2)(y))
    y = layers.Conv3DTranspose(3, 2)(layers.Conv3D(4, 2, padding="same")(y))
    y = layers.Dense(3)(layers.GlobalAveragePooling3D()(layers.MaxPooling3D(2, 1)(y)))
    model = gpudl.Model(x, y)
    model.compile("adam", "mse")
    return model


def test_a_training_is_captured_and_gives_what_numpy_gives() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((8, 8, 8, 4), np.float32), random.standard_normal((8, 3), np.float32)

    def losses(model: gpudl.Model) -> list[float]:
        return list(model.fit(x, y, batch_size=4, epochs=3, verbose=0, shuffle=False).history["loss"])

    expected = losses(network())
    with installed():
        backend.use("cupy")
        model = network()
        found = losses(model)
        assert [entry.plan.outcome.captured for entry in model._train.entries.values()] == [True]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
