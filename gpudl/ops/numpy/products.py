"""Products of matrices and vectors, with Keras's arguments and dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import Axis
from gpudl.ops.numpy.contraction import contracted
from gpudl.ops.primitives import elementwise
from gpudl.ops.primitives import matmul as product
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape, sizes

__all__ = [
    "dot",
    "inner",
    "matmul",
    "outer",
    "tensordot",
    "vdot",
]


def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the product of matrices, (..., M, K) @ (..., K, N) -> (..., M, N); a vector on the left is a row.

    A vector on the right is a column; the axis that is added to a vector is removed from the result.

    Raises:
        ShapeError: the sizes do not match.

    Example:
        >>> matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).numpy()
        array([3., 7.], dtype=float32)
    """
    a, b = _pair(x1, x2)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"a matrix product needs operands with axes, got {a.shape} and {b.shape}. Use * for numbers.")
    y = product.matmul(reshape(a, (1, -1)) if a.ndim == 1 else a, reshape(b, (-1, 1)) if b.ndim == 1 else b)
    gone = {*([y.ndim - 2] if a.ndim == 1 else []), *([y.ndim - 1] if b.ndim == 1 else [])}
    return reshape(y, [n for axis, n in enumerate(y.shape) if axis not in gone]) if gone else y


def tensordot(x1: TensorLike, x2: TensorLike, axes: int | Sequence[Axis] = 2) -> Tensor:
    """Return the sum of products of x1 and x2 over some axes of both.

    Args:
        x1: a tensor.
        x2: a tensor.
        axes: how many of the last axes of x1 and the first of x2; or the axes of x1 and those of x2, in pairs.

    Raises:
        ShapeError: the sizes of a pair of axes differ, or there are no such axes.

    Example:
        >>> tensordot(np.ones((2, 3), "float32"), np.ones((3, 4), "float32"), axes=1).shape
        (2, 4)
    """
    a, b = _pair(x1, x2)
    if isinstance(axes, Sequence):
        left, right = (sizes(axis) for axis in axes)  # type: ignore[arg-type]
    else:
        count = index(axes)
        left, right = tuple(range(-count, 0)), tuple(range(count))
    if len(left) != len(right):
        raise ShapeError(f"tensordot needs as many axes of x1 as of x2, got {left} and {right}.")
    left, right = (tuple(axes_of(t.ndim, i)[0] for i in of) for t, of in ((a, left), (b, right)))
    return _sum_of_products("tensordot", a, b, left, right)


def _pair(x1: TensorLike, x2: TensorLike) -> tuple[Tensor, Tensor]:
    like = x1 if isinstance(x1, Tensor) else x2 if isinstance(x2, Tensor) else None
    return operand(x1, like), operand(x2, like)


def _sum_of_products(who: str, a: Tensor, b: Tensor, left: tuple[int, ...], right: tuple[int, ...]) -> Tensor:
    """Return the sum of products over pairs of axes; the others are those of the result, in order."""
    labels = list(range(a.ndim)), list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j]:
            raise ShapeError(f"{who} of {a.shape} and {b.shape}: axis {i} of x1 and axis {j} of x2 differ in size.")
        labels[1][j] = i
    result = [i for i in labels[0] if i not in left] + [i for i in labels[1] if i >= a.ndim]
    dtype = promote(a.dtype, b.dtype)
    y = contracted([a, b], [tuple(each) for each in labels], tuple(result))
    return y if y.dtype == dtype else elementwise.cast(y, dtype=dtype)


def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the products of x1 and x2, summed over the last axis of x1 and the last but one of x2.

    That is the product of two matrices, the inner product of two vectors, and the product with a number.

    Raises:
        ShapeError: the sizes differ.

    Example:
        >>> dot([1.0, 2.0], [3.0, 4.0]).item()
        11.0
    """
    a, b = _pair(x1, x2)
    if a.ndim == 0 or b.ndim == 0:
        return elementwise.multiply(a, b)
    return _sum_of_products("dot", a, b, (a.ndim - 1,), (max(b.ndim - 2, 0),))


def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the inner product of x1 and x2 as vectors of all their elements.

    Raises:
        ShapeError: they have different numbers of elements.

    Example:
        >>> vdot([[1.0, 2.0]], [[3.0], [4.0]]).item()
        11.0
    """
    a, b = _pair(x1, x2)
    return _sum_of_products("vdot", reshape(a, -1), reshape(b, -1), (0,), (0,))


def inner(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the products of x1 and x2, summed over the last axis of both.

    Raises:
        ShapeError: these have different sizes.

    Example:
        >>> inner([[1.0, 2.0], [0.0, 1.0]], [3.0, 4.0]).numpy()
        array([11.,  4.], dtype=float32)
    """
    a, b = _pair(x1, x2)
    if a.ndim == 0 or b.ndim == 0:
        return elementwise.multiply(a, b)
    return _sum_of_products("inner", a, b, (a.ndim - 1,), (b.ndim - 1,))


def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the product of each element of x1 with each of x2: (elements of x1, elements of x2).

    Example:
        >>> outer([1.0, 2.0], [3.0, 4.0]).numpy()
        array([[3., 4.],
               [6., 8.]], dtype=float32)
    """
    a, b = _pair(x1, x2)
    return elementwise.multiply(reshape(a, (-1, 1)), reshape(b, (1, -1)))
