"""Softmax, its logarithm and its sparse form along any axes, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.op import Op
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import transpose
from gpudl.ops.numpy.axes import plain
from gpudl.ops.primitives import loss
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "log_softmax",
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
