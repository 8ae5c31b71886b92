"""Diagonals and triangles of matrices, with Keras's arguments and defaults."""

from __future__ import annotations

from operator import index

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import expand_dims, moveaxis, ravel
from gpudl.ops.numpy.axes import axes_in_order
from gpudl.ops.numpy.creation import fixed, nothing
from gpudl.ops.numpy.padding import pad
from gpudl.ops.primitives import elementwise
from gpudl.ops.primitives.shape import reshape, take_slice

__all__ = [
    "diag",
    "diagflat",
    "diagonal",
    "tril",
    "triu",
]

_BOOL = np.dtype(bool)


def diag(x: TensorLike, k: int = 0) -> Tensor:
    """Return the diagonal `k` above the main one of a matrix, or the matrix that has a vector there and zeros else.

    Raises:
        ShapeError: x is neither a vector nor a matrix.

    Example:
        >>> diag([1.0, 2.0]).numpy()
        array([[1., 0.],
               [0., 2.]], dtype=float32)
    """
    x = operand(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix, got shape {x.shape}.")
    column = expand_dims(pad(x, (max(-k, 0), max(k, 0))), 1)
    size = column.shape[0]
    there = fixed(lambda: np.eye(size, k=index(k)), (size, size), _BOOL)
    return elementwise.where(there, column, nothing(x))


def diagflat(x: TensorLike, k: int = 0) -> Tensor:
    """Return the matrix with the elements of x on the diagonal `k` above the main one, and zeros else.

    Example:
        >>> diagflat([[1.0, 2.0]]).numpy()
        array([[1., 0.],
               [0., 2.]], dtype=float32)
    """
    return diag(ravel(x), k)


def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the diagonals, `offset` above the main ones, of the matrices of two axes, along a new last axis.

    Raises:
        ShapeError: x does not have the axes.

    Example:
        >>> diagonal([[1.0, 2.0], [3.0, 4.0]]).numpy()
        array([1., 4.], dtype=float32)
    """
    x = operand(x)
    axes = axes_in_order(x.ndim, (axis1, axis2))
    if axes[0] == axes[1]:
        raise ShapeError(f"diagonal: axis1 and axis2 must be two different axes, got {axis1} and {axis2}.")
    x = moveaxis(x, axes, (-2, -1))
    rows, columns = x.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    start = max(offset, 0) + max(-offset, 0) * columns
    # Neighbours on a diagonal of the flattened matrices have a distance of one row and one column.
    flat = reshape(x, (*x.shape[:-2], rows * columns))
    stop = start + (length - 1) * (columns + 1) + 1 if length else start
    return take_slice(flat, key=(..., (start, stop, columns + 1)))


def _triangle(name: str, x: TensorLike, k: int, upper: bool) -> Tensor:
    x = operand(x)
    if x.ndim < 2:
        raise ShapeError(f"{name} takes matrices, got shape {x.shape}.")
    rows, columns = x.shape[-2:]
    kept = fixed(lambda: np.tri(rows, columns, index(k) - upper) != upper, (rows, columns), _BOOL)
    return elementwise.where(kept, x, nothing(x))


def tril(x: TensorLike, k: int = 0) -> Tensor:
    """Return matrices with zeros above the diagonal `k` above the main one.

    Raises:
        ShapeError: x has fewer than two axes.

    Example:
        >>> tril([[1.0, 2.0], [3.0, 4.0]]).numpy()
        array([[1., 0.],
               [3., 4.]], dtype=float32)
    """
    return _triangle("tril", x, k, False)


def triu(x: TensorLike, k: int = 0) -> Tensor:
    """Return matrices with zeros below the diagonal `k` above the main one.

    Raises:
        ShapeError: x has fewer than two axes.

    Example:
        >>> triu([[1.0, 2.0], [3.0, 4.0]]).numpy()
        array([[1., 2.],
               [0., 4.]], dtype=float32)
    """
    return _triangle("triu", x, k, True)
