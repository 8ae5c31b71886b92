"""Keras's functions for neural networks, with its arguments, defaults and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from gpudl import config
from gpudl.engine.convert import operand
from gpudl.engine.op import Op
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.kernels.geometry import Window
from gpudl.ops import loss, pool
from gpudl.ops.arrangement import transpose
from gpudl.ops.numpy import cast, plain
from gpudl.ops.reduce import axes_of
from gpudl.ops.shape import reshape, sizes

__all__ = [
    "average_pool",
    "log_softmax",
    "max_pool",
    "one_hot",
    "softmax",
    "sparsemax",
]


def softmax(x: TensorLike, axis: int | Sequence[int] = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along `axis`, one or several.

    Raises:
        ShapeError: x has no such axis, or nothing along it.

    Example:
        >>> softmax([[1.0, 1.0], [1.0, 1.0]], axis=0).numpy()
        array([[0.5, 0.5],
               [0.5, 0.5]], dtype=float32)
    """
    return _along(loss.softmax, x, axis)


def sparsemax(x: TensorLike, axis: int = -1) -> Tensor:
    """Return the probabilities along `axis` that are nearest to x, many of them exactly 0.

    Raises:
        ShapeError: x has no such axis, or nothing along it.

    Example:
        >>> sparsemax([[1.0, 0.5, -3.0]]).numpy()
        array([[0.75, 0.25, 0.  ]], dtype=float32)
    """
    return _along(loss.sparsemax, x, axis)


def log_softmax(x: TensorLike, axis: int | Sequence[int] = -1) -> Tensor:
    """Return log(softmax(x)) along `axis`, one or several, accurate where the softmax is nearly 0.

    Raises:
        ShapeError: x has no such axis, or nothing along it.

    Example:
        >>> log_softmax([[0.0, 1000.0]]).numpy()
        array([[-1000.,     0.]], dtype=float32)
    """
    return _along(loss.log_softmax, x, axis)


def _along(function: Op[Tensor], x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """Return a function of the last axis applied along other axes."""
    x = operand(x)
    axes = axes_of(x.ndim, plain(axis))
    if axes in ((), (x.ndim - 1,)):
        return function(x)
    order = (*(a for a in range(x.ndim) if a not in axes), *axes)
    moved = transpose(x, order)
    flat = moved if len(axes) == 1 else reshape(moved, (*moved.shape[: -len(axes)], -1))
    return transpose(reshape(function(flat), moved.shape), tuple(map(int, np.argsort(order))))


def one_hot(
    x: TensorLike, num_classes: int, axis: int = -1, dtype: DTypeLike | None = None, sparse: bool = False
) -> Tensor:
    """Return zeros with a 1 at the label, along a new `axis`; a label out of range gives all zeros.

    Args:
        x: class labels; floats are cast to integers.
        num_classes: the size of the new axis.
        axis: position of the new axis in the result.
        dtype: dtype of the result; `config.floatx` by default.
        sparse: not supported.

    Raises:
        ValueError: `sparse` is true.

    Example:
        >>> one_hot([1, 0], 3).numpy()
        array([[0., 1., 0.],
               [1., 0., 0.]], dtype=float32)
    """
    if sparse:
        raise ValueError("sparse tensors are not supported: leave out sparse=True.")
    labels = operand(x)
    if labels.dtype.kind not in "iu":
        labels = cast(labels, np.int32)
    (at,) = axes_of(labels.ndim + 1, axis)
    kind = np.dtype(config.floatx() if dtype is None else dtype)
    rows = loss.one_hot(labels, classes=int(num_classes), dtype=kind)
    return rows if at == labels.ndim else transpose(rows, (*range(at), labels.ndim, *range(at, labels.ndim)))


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
