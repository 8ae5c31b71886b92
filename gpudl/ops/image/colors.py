"""Colors: grey, and hue, saturation and value."""

from __future__ import annotations

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.image.layout import channels
from gpudl.ops.image.weights import along
from gpudl.ops.numpy.arrangement import concatenate
from gpudl.ops.primitives.elementwise import cast, clip, maximum, minimum, mod, where
from gpudl.ops.primitives.shape import take_slice

__all__ = [
    "hsv_to_rgb",
    "rgb_to_grayscale",
    "rgb_to_hsv",
]

_GREY = np.array([[0.2989, 0.5870, 0.1140]], np.float32)
_EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def rgb_to_grayscale(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Return the brightness of RGB images, one channel in their dtype; grey images are returned unchanged.

    Raises:
        ShapeError: neither an image nor a batch, or neither 1 nor 3 channels.

    Example:
        >>> rgb_to_grayscale([[[1.0, 1.0, 0.0]]]).numpy()
        array([[[0.8859]]], dtype=float32)
    """
    x, axis = channels(images, data_format)
    if x.shape[axis] == 1:
        return x
    if x.shape[axis] != 3:
        raise ShapeError(f"expected 3 channels, or 1 of grey images, along axis {axis}, got shape {x.shape}.")
    y = along(x, _GREY, axis)
    return y if y.dtype == x.dtype else cast(y, dtype=x.dtype)


def rgb_to_hsv(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Return RGB images of values from 0 to 1 as hue, saturation and value, each from 0 to 1.

    Raises:
        ShapeError: neither an image nor a batch, or another number of channels than 3.
        ValueError: no floats.

    Example:
        >>> rgb_to_hsv([[[0.0, 1.0, 0.0]]]).numpy().round(3)
        array([[[0.333, 1.   , 1.   ]]], dtype=float32)
    """
    red, green, blue, axis = _three("rgb_to_hsv", images, data_format)
    tiny = _EPSILON[red.dtype.name]
    red, green, blue = (where(abs(part) < tiny, 0.0, part) for part in (red, green, blue))
    value = maximum(maximum(red, green), blue)
    spread = value - minimum(minimum(red, green), blue)
    colored = spread > 0
    saturation = where(value > 0, spread / where(value > 0, value, 1.0), 0.0)
    sixth = 1.0 / (6.0 * where(colored, spread, 1.0))
    hue = where(value == green, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = where(value == red, sixth * (green - blue), hue)
    hue = where(colored, hue, 0.0) + cast(hue < 0, dtype=hue.dtype)
    return concatenate((hue, saturation, value), axis)


def hsv_to_rgb(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Return images of hue, saturation and value, each from 0 to 1, as RGB.

    Raises:
        ShapeError: neither an image nor a batch, or another number of channels than 3.
        ValueError: no floats.

    Example:
        >>> hsv_to_rgb([[[0.0, 1.0, 0.5]]]).numpy()
        array([[[0.5, 0. , 0. ]]], dtype=float32)
    """
    hue, saturation, value, axis = _three("hsv_to_rgb", images, data_format)
    turn = mod(hue, 1.0) * 6.0
    parts = abs(turn - 3.0) - 1.0, 2.0 - abs(turn - 2.0), 2.0 - abs(turn - 4.0)
    grey = 1.0 - saturation
    return concatenate([value * (grey + saturation * clip(part, low=0.0, high=1.0)) for part in parts], axis)


def _three(who: str, images: TensorLike, data_format: str | None) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return the three channels of images, and their axis."""
    x, axis = channels(operand(images), data_format)
    if not is_floating(x.dtype):
        raise ValueError(f"{who} needs floats from 0 to 1, got {x.dtype}. Cast the images, and divide them by 255.")
    if x.shape[axis] != 3:
        raise ShapeError(f"{who} needs 3 channels along axis {axis}, got shape {x.shape}.")
    whole = ((None, None, None),) * axis
    first, second, third = (take_slice(x, key=(*whole, (at, at + 1, None))) for at in range(3))
    return first, second, third, axis
