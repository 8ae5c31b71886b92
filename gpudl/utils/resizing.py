"""Images of another size, by weighted sums along each axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _cubic(b: float, c: float) -> Kernel:
    """Return the cubic filter of Mitchell and Netravali with the parameters B and C."""

    def kernel(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.abs(x)
        near = ((12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + (6 - 2 * b)) / 6
        far = ((-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + (8 * b + 24 * c)) / 6
        return np.where(x < 1, near, np.where(x < 2, far, 0))

    return kernel


def _lanczos(radius: int) -> Kernel:
    return lambda x: np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0)


_KERNELS: dict[str, Kernel] = {
    "bilinear": lambda x: np.maximum(0, 1 - np.abs(x)),
    "bicubic": _cubic(0, 0.5),
    "mitchellcubic": _cubic(1 / 3, 1 / 3),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
    "gaussian": lambda x: np.where(np.abs(x) < 1.5, np.exp(-2 * x**2), 0),
}
METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")


def resized(image: NDArray[np.generic], height: int, width: int, method: str = "bilinear") -> Floats:
    """Return an image (H, W, channels) as float32 (height, width, channels), without smoothing what gets smaller.

    Example:
        >>> resized(np.array([[[0], [8]]]), 1, 4)[..., 0]
        array([[0., 2., 6., 8.]], dtype=float32)
    """
    pixels = image.astype(np.float32)
    if pixels.shape[:2] == (height, width):
        return pixels
    rows, columns = _weights(pixels.shape[0], height, method), _weights(pixels.shape[1], width, method)
    result: Floats = np.einsum("hy,wx,yxc->hwc", rows, columns, pixels, optimize=True)
    return result


def _weights(old: int, new: int, method: str) -> Floats:
    """Return how much each of `old` pixels counts in each of `new`: (new, old), the sum of each row 1."""
    weights: NDArray[np.floating]
    step, pixel, numbers = old / new, np.arange(old), np.arange(new)[:, None]
    if method == "nearest":
        weights = (np.minimum(np.floor((numbers + 0.5) * step), old - 1) == pixel).astype(float)
    elif method == "area":
        overlap = np.minimum((numbers + 1) * step, pixel + 1) - np.maximum(numbers * step, pixel)
        weights = np.maximum(overlap, 0)
    else:
        weights = _KERNELS[method](np.asarray((numbers + 0.5) * step - 0.5 - pixel, np.float64))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
