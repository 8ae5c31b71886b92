"""Pooling of sequences, images and volumes, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.kernels.geometry import Ints, Window
from gpudl.ops.nn.windows import Sizes, each, in_layout, over_images, spatial
from gpudl.ops.numpy.arrangement import transpose
from gpudl.ops.primitives import pool
from gpudl.ops.primitives.gather import take
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.reduce import max as maximum
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "average_pool",
    "max_pool",
]


def max_pool(
    inputs: TensorLike,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the maximum of each window of sequences, images or volumes.

    Args:
        inputs: (batch, length, channels), (batch, height, width, channels) or (batch, depth, height, width, channels),
            or with the channels second.
        pool_size: size of the window along each spatial axis; one integer for all.
        strides: steps of the window; None for `pool_size`.
        padding: ``"valid"`` drops incomplete windows; ``"same"`` pads them, and padding is never the maximum.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: the inputs have another number of axes, or are smaller than the window.

    Example:
        >>> max_pool(np.arange(6, dtype="float32").reshape(1, 6, 1), 2).numpy().ravel()
        array([1., 3., 5.], dtype=float32)
    """
    return _pooled(maxima, inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: TensorLike,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the mean of each window of sequences, images or volumes; the arguments are those of `max_pool`.

    Padding does not count.

    Example:
        >>> average_pool(np.arange(6, dtype="float32").reshape(1, 6, 1), 2).numpy().ravel()
        array([0.5, 2.5, 4.5], dtype=float32)
    """
    return _pooled(means, inputs, pool_size, strides, padding, data_format)


def adaptive_max_pool(inputs: TensorLike, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """Return the maxima of as many windows as `output_size` says, which cover the inputs evenly.

    Window i of n over a size s goes from ``floor(i * s / n)`` up to, but without, ``ceil((i + 1) * s / n)``.

    Args:
        inputs: as for `max_pool`.
        output_size: number of windows along each spatial axis; one integer for all.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.

    Raises:
        ShapeError: the inputs have another number of axes.

    Example:
        >>> adaptive_max_pool(np.arange(7, dtype="float32").reshape(1, 7, 1), 3).numpy().ravel()
        array([2., 4., 6.], dtype=float32)
    """
    return _adapted(adaptive_maxima, inputs, output_size, data_format)


def adaptive_average_pool(inputs: TensorLike, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """Return the means of as many windows as `output_size` says, which are those of `adaptive_max_pool`.

    Example:
        >>> adaptive_average_pool(np.arange(7, dtype="float32").reshape(1, 7, 1), 3).numpy().ravel()
        array([1., 3., 5.], dtype=float32)
    """
    return _adapted(adaptive_means, inputs, output_size, data_format)


def maxima(x: Tensor, window: Window) -> Tensor:
    """Return the maximum of each window of x (batch, ..., channels)."""
    return over_images(lambda images, over: pool.max_pool(images, window=over)[0], x, window)


def means(x: Tensor, window: Window) -> Tensor:
    """Return the mean of each window of x (batch, ..., channels) over the positions inside x."""
    return over_images(lambda images, over: pool.avg_pool(images, window=over), x, window)


def adaptive_maxima(x: Tensor, output: Ints) -> Tensor:
    """Return the maxima of evenly spread windows of x (batch, ..., channels)."""
    return _evenly(maxima, _largest, x, output)


def adaptive_means(x: Tensor, output: Ints) -> Tensor:
    """Return the means of evenly spread windows of x (batch, ..., channels)."""
    return _evenly(means, _mean, x, output)


def _evenly(
    slid: Callable[[Tensor, Window], Tensor], along: Callable[[Tensor, int, int], Tensor], x: Tensor, output: Ints
) -> Tensor:
    size = x.shape[1:-1]
    if 0 in size:
        raise ShapeError(f"windows of nothing have no maximum and no mean: the inputs have shape {x.shape}.")
    if all(n % count == 0 for n, count in zip(size, output, strict=True)):
        step = tuple(n // count for n, count in zip(size, output, strict=True))
        return slid(x, Window(step, step))
    for axis, count in enumerate(output, 1):
        x = along(x, axis, count)
    return x


def _bounds(size: int, count: int) -> list[tuple[int, int]]:
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


@lru_cache(maxsize=256)
def _positions(size: int, count: int) -> np.ndarray:
    """Return the positions that each window covers, the last one repeated where a window is shorter than others."""
    bounds = _bounds(size, count)
    longest = max(stop - start for start, stop in bounds)
    return np.array([[min(start + i, stop - 1) for i in range(longest)] for start, stop in bounds], np.int32)


def _largest(x: Tensor, axis: int, count: int) -> Tensor:
    positions = _positions(x.shape[axis], count)
    order = (axis, *range(axis), *range(axis + 1, x.ndim))
    seen = take(transpose(x, order), positions)
    return transpose(maximum(seen, axis=1), tuple(int(a) for a in np.argsort(order)))


@lru_cache(maxsize=256)
def _weights(size: int, count: int, dtype: str) -> np.ndarray:
    """Return the matrix (count, size) whose product with positions gives the means of the windows."""
    made = np.zeros((count, size))
    for row, (start, stop) in zip(made, _bounds(size, count), strict=True):
        row[start:stop] = 1 / (stop - start)
    return made.astype(dtype)


def _mean(x: Tensor, axis: int, count: int) -> Tensor:
    n = x.shape[axis]
    order = (*range(axis), *range(axis + 1, x.ndim), axis)
    moved = transpose(x, order)
    rows = reshape(moved, (moved.size // n, n))
    y = matmul(rows, operand(_weights(n, count, x.dtype.name), x), transpose_b=True)
    return transpose(reshape(y, (*moved.shape[:-1], count)), tuple(int(a) for a in np.argsort(order)))


def _floats(inputs: TensorLike) -> tuple[Tensor, int]:
    x = operand(inputs)
    rank = spatial(x, "pooling")
    if not is_floating(x.dtype):
        raise ShapeError(f"pooling needs floats, got {x.dtype}. Cast first.")
    return x, rank


def _pooled(
    function: Callable[[Tensor, Window], Tensor],
    inputs: TensorLike,
    pool_size: Sizes,
    strides: Sizes | None,
    padding: str,
    data_format: str | None,
) -> Tensor:
    x, rank = _floats(inputs)
    size = each(pool_size, rank)
    window = Window(size, size if strides is None else each(strides, rank), padding.lower())
    return in_layout(lambda x: function(x, window), x, data_format)


def _adapted(
    function: Callable[[Tensor, Ints], Tensor], inputs: TensorLike, output_size: Sizes, data_format: str | None
) -> Tensor:
    x, rank = _floats(inputs)
    return in_layout(lambda x: function(x, each(output_size, rank)), x, data_format)
