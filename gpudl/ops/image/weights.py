"""Matrices by which the pixels of a line are weighted, and their products with one axis of an array."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import pi, prod
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpudl.engine.convert import operand
from gpudl.engine.spec import is_floating
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives.elementwise import cast, where
from gpudl.ops.primitives.exponential import exp, sin
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.reduce import sum as total
from gpudl.ops.primitives.shape import reshape

Floats = NDArray[np.float64]
T = TypeVar("T", Floats, Tensor)


class Maths(NamedTuple, Generic[T]):
    """The functions, beside operators, that compute weights: those of NumPy or of tensors."""

    where: Callable[..., T]
    sin: Callable[[T], T]
    exp: Callable[[T], T]


HOST: Maths[Floats] = Maths(np.where, np.sin, np.exp)
DEVICE: Maths[Tensor] = Maths(where, sin, exp)

_CUBIC = {"bicubic": (0.0, 0.5), "mitchellcubic": (1 / 3, 1 / 3)}  # the parameters B and C of Mitchell and Netravali
_LANCZOS = {"lanczos3": 3, "lanczos5": 5}
SMOOTH = ("bilinear", *_CUBIC, *_LANCZOS, "gaussian")


def kernel(of: Maths[T], method: str, x: T) -> T:
    """Return how much pixels count at the distances x, which are not negative."""
    if method == "bilinear":
        return of.where(x < 1, 1 - x, 0.0)
    if method == "gaussian":
        return of.where(x < 1.5, of.exp(-2 * x * x), 0.0)
    if method in _CUBIC:
        b, c = _CUBIC[method]
        near = (((12 - 9 * b - 6 * c) * x + (-18 + 12 * b + 6 * c)) * x * x + (6 - 2 * b)) / 6
        far = ((((-b - 6 * c) * x + (6 * b + 30 * c)) * x + (-12 * b - 48 * c)) * x + (8 * b + 24 * c)) / 6
        return of.where(x < 1, near, of.where(x < 2, far, 0.0))
    radius = _LANCZOS[method]
    apart = of.where(x > 1e-3, x, 1.0)
    waves = radius * of.sin(pi * apart) * of.sin(pi * apart / radius) / (pi * pi * apart * apart)
    return of.where(x < radius, of.where(x > 1e-3, waves, 1.0), 0.0)


@lru_cache(maxsize=256)
def resizing_weights(old: int, new: int, method: str, antialias: bool = False) -> NDArray[np.float32]:
    """Return how much each of `old` pixels counts in each of `new`: (new, old), the sum of each row 1.

    Example:
        >>> resizing_weights(2, 4, "bilinear")
        array([[1.  , 0.  ],
               [0.75, 0.25],
               [0.25, 0.75],
               [0.  , 1.  ]], dtype=float32)
    """
    step, pixels, numbers = old / new, np.arange(old), np.arange(new)[:, None]
    if method == "area":
        overlap = np.minimum((numbers + 1) * step, pixels + 1) - np.maximum(numbers * step, pixels)
        found = np.maximum(overlap, 0)
    elif method == "nearest":
        found = (nearest(old, new)[:, None] == pixels).astype(np.float64)
    else:
        apart = np.abs((numbers + 0.5) * step - 0.5 - pixels)
        found = kernel(HOST, method, apart / max(step, 1.0) if antialias else apart)
    shares: NDArray[np.float32] = (found / found.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def nearest(old: int, new: int) -> NDArray[np.int32]:
    """Return the number of the pixel, out of `old`, that is nearest to each of `new` ones."""
    places = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * np.float32(old) / np.float32(new)
    numbers: NDArray[np.int32] = np.minimum(np.floor(places), old - 1).astype(np.int32)
    return numbers


def moved(old: int, new: int, scale: Tensor, translation: Tensor, method: str, antialias: bool) -> Tensor:
    """Return the weights (new, old) of an axis scaled by `scale` and then moved by `translation` pixels.

    New pixels whose place lies outside of the old ones get no weight.
    """
    step = 1 / scale
    places = operand(np.arange(new, dtype=np.float32)[:, None] + np.float32(0.5)) * step - translation * step - 0.5
    apart = abs(places - operand(np.arange(old, dtype=np.float32)))
    found = kernel(DEVICE, method, apart / where(step > 1, step, 1.0) if antialias else apart)
    sums = total(found, axis=1, keepdims=True)
    some = abs(sums) > 1000 * float(np.finfo(np.float32).eps)
    inside = (places >= -0.5) & (places <= old - 0.5) & some
    return where(inside, found / where(some, sums, 1.0), 0.0)


def band(size: int, taps: Floats, before: int, new: int) -> NDArray[np.float32]:
    """Return the matrix (new, size) that slides `taps` along an axis, the first time from `before` pixels before it."""
    at = np.arange(size) - np.arange(new)[:, None] + before
    inside = (at >= 0) & (at < len(taps))
    return np.where(inside, taps[np.clip(at, 0, len(taps) - 1)], 0).astype(np.float32)


def gaussian(size: int, taps: int, sigma: Tensor, reach: Tensor | None = None) -> Tensor:
    """Return the matrix (size, size) that slides a Gaussian bell of `taps` pixels, whose sum is 1, along an axis.

    With `reach` the bell is 0 where it is further than that from its middle.
    """
    middle, before = np.float32((taps - 1) / 2), (taps - 1) // 2
    at = (np.arange(size) - np.arange(size)[:, None] + before).astype(np.float32)
    bells = []
    for places, inside in ((one := np.arange(taps, dtype=np.float32), one >= 0), (at, (at >= 0) & (at < taps))):
        apart = operand(places - middle)
        bell = where(inside, exp(-0.5 * (apart / sigma) ** 2), 0.0)
        bells.append(bell if reach is None else where(abs(apart) <= reach, bell, 0.0))
    return bells[1] / total(bells[0])


def along(x: Tensor, weights: Tensor | NDArray[np.float32], axis: int) -> Tensor:
    """Return the products of `weights` (new, old) with the lines of x along `axis`; integers become float32."""
    if not is_floating(x.dtype):
        x = cast(x, dtype=np.float32)
    matrix = operand(weights)
    if matrix.dtype != x.dtype:
        matrix = cast(matrix, dtype=x.dtype)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    if not after:
        y = matmul(reshape(x, (prod(before), x.shape[axis])), matrix, transpose_b=True)
    else:
        y = matmul(matrix, reshape(x, (prod(before), x.shape[axis], prod(after))))
    return reshape(y, (*before, matrix.shape[0], *after))
