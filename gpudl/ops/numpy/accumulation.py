"""NumPy's products along axes, and its sums and products up to each element, with Keras's arguments and dtypes."""

from __future__ import annotations

from operator import index

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine.convert import operand
from gpudl.engine.op import Op
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import Axis, plain
from gpudl.ops.primitives import cumulative
from gpudl.ops.primitives.elementwise import cast
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import in_order, reshape

__all__ = [
    "cumprod",
    "cumsum",
    "prod",
]


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
    """Return the product along `axis`, by default of all elements; small integers are multiplied in 32 bits.

    Example:
        >>> prod([[1.0, 3.0], [2.0, 6.0]], axis=1).numpy()
        array([ 3., 12.], dtype=float32)
    """
    x = _in_dtype(operand(x), dtype)
    axes = axes_of(x.ndim, plain(axis))
    rest = [a for a in range(x.ndim) if a not in axes]
    shape = [x.shape[a] for a in rest]
    count = int(np.prod([x.shape[a] for a in axes]))
    y = _in_dtype(cumulative.prod(reshape(in_order(x, (*rest, *axes)), (*shape, count)), axis=len(rest)), dtype)
    return reshape(y, [1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdims else y


def cumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the sum of the elements up to each along `axis`, by default of the flattened x.

    Example:
        >>> cumsum([[1.0, 3.0], [2.0, 6.0]], axis=1).numpy()
        array([[1., 4.],
               [2., 8.]], dtype=float32)
    """
    return _cumulative(cumulative.cumsum, x, axis, dtype)


def cumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the product of the elements up to each along `axis`, by default of the flattened x.

    Example:
        >>> cumprod([[1.0, 3.0], [2.0, 6.0]], axis=1).numpy()
        array([[ 1.,  3.],
               [ 2., 12.]], dtype=float32)
    """
    return _cumulative(cumulative.cumprod, x, axis, dtype)


def _cumulative(function: Op[Tensor], x: TensorLike, axis: int | None, dtype: DTypeLike | None) -> Tensor:
    x = _in_dtype(operand(x), dtype)
    return function(reshape(x, -1), axis=0) if axis is None else function(x, axis=index(axis))


def _in_dtype(x: Tensor, dtype: DTypeLike | None) -> Tensor:
    return x if dtype is None or x.dtype == np.dtype(dtype) else cast(x, dtype=np.dtype(dtype))
