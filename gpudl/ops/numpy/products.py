"""Products of matrices and vectors, with Keras's arguments and dtypes."""

from __future__ import annotations

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.primitives import matmul as product
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "matmul",
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
    like = x1 if isinstance(x1, Tensor) else x2 if isinstance(x2, Tensor) else None
    a, b = operand(x1, like), operand(x2, like)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"a matrix product needs operands with axes, got {a.shape} and {b.shape}. Use * for numbers.")
    y = product.matmul(reshape(a, (1, -1)) if a.ndim == 1 else a, reshape(b, (-1, 1)) if b.ndim == 1 else b)
    gone = {*([y.ndim - 2] if a.ndim == 1 else []), *([y.ndim - 1] if b.ndim == 1 else [])}
    return reshape(y, [n for axis, n in enumerate(y.shape) if axis not in gone]) if gone else y
