"""Pooling of sequences and images, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpudl import config
from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.kernels.geometry import Window
from gpudl.ops.numpy.arrangement import transpose
from gpudl.ops.primitives import pool
from gpudl.ops.primitives.shape import reshape, sizes

__all__ = [
    "average_pool",
    "max_pool",
]

Sizes = int | Sequence[int]


def max_pool(
    inputs: TensorLike,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the maximum of each window of sequences or images.

    Args:
        inputs: (batch, length, channels) or (batch, height, width, channels), or with the channels second.
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
    return _pooled(_maxima, inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: TensorLike,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the mean of each window of sequences or images; the arguments are those of `max_pool`.

    Padding does not count.

    Example:
        >>> average_pool(np.arange(6, dtype="float32").reshape(1, 6, 1), 2).numpy().ravel()
        array([0.5, 2.5, 4.5], dtype=float32)
    """
    return _pooled(_means, inputs, pool_size, strides, padding, data_format)


def _maxima(x: Tensor, window: Window) -> Tensor:
    return pool.max_pool(x, window=window)[0]


def _means(x: Tensor, window: Window) -> Tensor:
    return pool.avg_pool(x, window=window)


def _pooled(
    function: Callable[[Tensor, Window], Tensor],
    inputs: TensorLike,
    pool_size: Sizes,
    strides: Sizes | None,
    padding: str,
    data_format: str | None,
) -> Tensor:
    x = operand(inputs)
    if x.ndim not in (3, 4):
        raise ShapeError(f"pooling needs sequences or images, with a batch and channels, got {x.ndim} axes.")
    if not is_floating(x.dtype):
        raise ShapeError(f"pooling needs floats, got {x.dtype}. Cast first.")
    if config.check_data_format(data_format) == "channels_first":
        last = (0, *range(2, x.ndim), 1)
        y = _pooled(function, transpose(x, last), pool_size, strides, padding, "channels_last")
        return transpose(y, (0, x.ndim - 1, *range(1, x.ndim - 1)))
    size = _each(pool_size, x.ndim - 2)
    step = size if strides is None else _each(strides, x.ndim - 2)
    if x.ndim == 4:
        return function(x, Window(size, step, padding))
    y = function(reshape(x, (*x.shape[:2], 1, x.shape[2])), Window((*size, 1), (*step, 1), padding))
    return reshape(y, (*y.shape[:2], y.shape[3]))


def _each(value: Sizes, count: int) -> tuple[int, ...]:
    return sizes(value) if isinstance(value, Sequence) else sizes(value) * count
