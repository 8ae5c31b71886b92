"""Elastic deformation of images."""

from __future__ import annotations

import random
from typing import Protocol

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.image.layout import as_batch, one_of
from gpudl.ops.image.sampling import FILL_MODES, ORDERS, displaced
from gpudl.ops.image.weights import along, gaussian
from gpudl.ops.primitives.elementwise import floor_divide
from gpudl.ops.primitives.random import random_normal

__all__ = [
    "elastic_transform",
]


class Keys(Protocol):
    """A generator of random keys, such as `random.SeedGenerator`."""

    def next(self) -> Tensor:
        """Return the key of the next draw."""
        ...


def elastic_transform(
    images: TensorLike,
    alpha: TensorLike = 20.0,
    sigma: TensorLike = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: int | Keys | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Return images whose pixels are moved at random, near ones by nearly the same distance.

    Source: Simard et al., "Best practices for convolutional neural networks applied to visual document analysis", 2003.

    Args:
        images: an image (height, width, channels), or a batch of them.
        alpha: a factor of the distances, in pixels.
        sigma: the standard deviation of the noise before it is blurred, and of the bell that blurs it, in pixels.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        fill_mode: what is beyond the edges, see `map_coordinates`.
        fill_value: the value for ``"constant"``.
        seed: a whole number, a `random.SeedGenerator`, which is advanced, or None for other numbers at each call.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: neither an image nor a batch.
        ValueError: another interpolation or fill mode.

    Example:
        >>> elastic_transform(np.zeros((8, 8, 1)), seed=1).shape
        (8, 8, 1)
    """
    one_of("interpolation", interpolation, tuple(ORDERS))
    one_of("fill_mode", fill_mode, FILL_MODES)

    def deformed(x: Tensor) -> Tensor:
        down, across = (displacements(_key(seed, draw), x.shape[:3], operand(sigma)) * alpha for draw in range(2))
        return displaced(x, down, across, ORDERS[interpolation], fill_mode, fill_value)

    return as_batch(images, data_format, deformed)


def _key(seed: int | Keys | None, draw: int) -> Tensor:
    if seed is not None and not isinstance(seed, int | np.integer):
        return seed.next()
    number = random.randint(1, int(1e9)) if seed is None else int(seed)
    return operand(np.array([number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF, draw, 0], np.uint32))


def displacements(key: Tensor, shape: Shape, sigma: Tensor) -> Tensor:
    """Return noise (N, H, W) of the standard deviation sigma, blurred by a bell of that width, cut off at 3 sigma."""
    noise = random_normal(key, shape=shape) * sigma
    reach = floor_divide(sigma * 3.0, 1.0)
    for axis in (1, 2):
        noise = along(noise, gaussian(shape[axis], 2 * max(shape) + 1, sigma, reach), axis)
    return noise
