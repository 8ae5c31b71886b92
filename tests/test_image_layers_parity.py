"""Layers for images beside Keras's: what both make of the same images where the same is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from image_layer_cases import LAYERS, pictures
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import layers

CALLS = 20
# Rotations multiply coordinates; the sum of a histogram is rounded; else it is a few roundings of values up to 255.
ATOL = {"Equalization": 1.0}


def transformation(name: str, drawn: Any) -> dict[str, Any]:
    """Return what Keras has drawn as our layers take it."""
    if name == "RandomCrop":
        return {"top": drawn[0], "left": drawn[1]} if not isinstance(drawn[0], int) else {}
    if name == "RandomGrayscale":
        return {"should_apply": np.asarray(drawn)}
    if name == "RandomRotation":
        return {"angle": np.asarray(drawn["angle"])[:, None]}
    return {k: np.asarray(v) for k, v in drawn.items() if hasattr(v, "dtype")} if isinstance(drawn, dict) else {}


@parity
@pytest.mark.parametrize("name", LAYERS)
def test_images_are_those_of_keras(name: str) -> None:
    keras = keras_or_skip()

    for number in range(CALLS):
        options = LAYERS[name](np.random.default_rng(number))
        x = pictures(number)
        mine, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
        drawn = theirs.get_random_transformation(x, training=True)
        expected = np.asarray(theirs.transform_images(x, drawn, training=True))
        ours = {key: gpudl.convert_to_tensor(value) for key, value in transformation(name, drawn).items()}
        found = mine.transform_images(gpudl.convert_to_tensor(x), ours)
        what = f"{number}: {options}"
        assert (found.shape, found.dtype.name) == (expected.shape, str(expected.dtype)), what
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=ATOL.get(name, 0.02), err_msg=what)
        assert mine.compute_output_shape((None, 8, 6, 3))[1:] == found.shape[1:]
        assert mine.get_config().keys() >= theirs.get_config().keys() - {"bounding_box_format", "factor"}, what


@parity
@pytest.mark.parametrize("options", [{"scale": 0.5}, {"scale": 1 / 127.5, "offset": -1}, {"scale": [1.0, 2, 3]}])
def test_rescaled_values_are_those_of_keras(options: Any) -> None:
    keras = keras_or_skip()
    for x in (pictures(1), pictures(1).astype(np.uint8)):
        found, expected = layers.Rescaling(**options)(x), np.asarray(keras.layers.Rescaling(**options)(x))
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@parity
def test_what_is_drawn_has_the_bounds_of_keras() -> None:
    keras = keras_or_skip()
    x = pictures(1, (64, 8, 6, 3))
    for name in ("RandomRotation", "RandomShear", "RandomTranslation", "RandomZoom", "Solarization"):
        options = LAYERS[name](np.random.default_rng(5))
        layer = getattr(layers, name)(**options)
        theirs = transformation(
            name, getattr(keras.layers, name)(**options).get_random_transformation(x, training=True)
        )
        mine = layer.get_random_transformation(x)
        for key, values in mine.items():
            ours, other = (np.asarray(v).astype(np.float64) for v in (values.numpy(), theirs[key]))
            spread = max(np.ptp(other), 1e-6) if other.size > 9 else np.inf
            assert ours.min() > other.min() - spread / 2, (name, key)
            assert ours.max() < other.max() + spread / 2, (name, key)
            assert abs(ours.mean() - other.mean()) < spread * 0.35, (name, key)
