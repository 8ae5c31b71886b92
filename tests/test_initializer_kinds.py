"""Initializers of other kinds than a distribution: transforms, and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import initializers


def test_stft_is_the_transform_of_windowed_frames() -> None:
    frames = np.random.default_rng(0).standard_normal((3, 8))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(8) / 8)
    for scaling, size in ((None, 1.0), ("density", np.sqrt((window**2).sum())), ("spectrum", window.sum())):
        make: dict[str, Any] = {"scaling": scaling, "periodic": True}
        real, imag = (initializers.STFT(side, **make)((8, 1, 5), "float64")[:, 0] for side in ("real", "imag"))
        scale = size if scaling else 1.0
        np.testing.assert_allclose(
            frames @ real + 1j * (frames @ imag), np.fft.rfft(frames * window) / scale, atol=1e-12
        )
    own = initializers.STFT(window=window, scaling=None)((8, 1, 5))
    np.testing.assert_allclose(own, initializers.STFT(periodic=True, scaling=None)((8, 1, 5)), atol=1e-6)


def test_an_array_is_an_initializer_of_its_shape() -> None:
    given = initializers.get(np.array([1, 2]))
    assert given((2,)).dtype == np.float32
    np.testing.assert_array_equal(
        gpudl.layers.Dense(2, bias_initializer=np.array([3.0, 4.0]))(np.ones((1, 2)))[0].shape, 2
    )
    with pytest.raises(ValueError, match=r"the initializer is an array of shape \(2,\), expected the shape \(3,\)"):
        given((3,))
    assert initializers.HeNormal(seed=3).clone().get_config() == initializers.HeNormal(seed=3).get_config()
