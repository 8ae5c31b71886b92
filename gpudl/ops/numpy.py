"""NumPy's functions of tensors, with Keras's arguments, defaults and dtypes.

A function whose arguments are tensors only, such as `exp` and `add`, is the op itself.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from operator import index
from typing import overload

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine.convert import operand
from gpudl.engine.op import Op
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops import elementwise, indexing, linalg, logic, reduce
from gpudl.ops.reduce import axes_of
from gpudl.ops.shape import reshape, sizes

__all__ = [
    "all",
    "any",
    "argmax",
    "cast",
    "clip",
    "matmul",
    "max",
    "mean",
    "min",
    "ones_like",
    "sum",
    "take",
    "true_divide",
    "where",
    "zeros_like",
]

Axis = int | Sequence[int] | None


def plain(axis: Axis) -> int | tuple[int, ...] | None:
    """Return an axis or several as Python integers, which can be compared with those of a recorded step."""
    return None if axis is None else sizes(axis) if isinstance(axis, Sequence) else index(axis)


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the sum along `axis`, by default of all elements; small integers are summed in 32 bits.

    Example:
        >>> sum(np.full(1000, 200, np.uint8)).numpy()
        array(200000, dtype=uint32)
    """
    return reduce.sum(x, axis=plain(axis), keepdims=bool(keepdims))


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean along `axis`, by default of all elements; that of integers is float32, that of no elements NaN.

    Example:
        >>> mean([[1, 2], [3, 5]], axis=0).numpy()
        array([2. , 3.5], dtype=float32)
    """
    return reduce.mean(operand(x), plain(axis), bool(keepdims))


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """Return the maximum along `axis`, by default of all elements, and of `initial` if it is given.

    Raises:
        ShapeError: no elements, and no `initial`.

    Example:
        >>> max([[1.0, 5.0], [3.0, 4.0]], axis=1, initial=4.5).numpy()
        array([5. , 4.5], dtype=float32)
    """
    return _extreme(reduce.max, elementwise.maximum, x, axis, keepdims, initial)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """Return the minimum along `axis`, by default of all elements, and of `initial` if it is given.

    Raises:
        ShapeError: no elements, and no `initial`.

    Example:
        >>> min([[1.0, 5.0], [3.0, 4.0]], axis=1).numpy()
        array([1., 3.], dtype=float32)
    """
    return _extreme(reduce.min, elementwise.minimum, x, axis, keepdims, initial)


def _extreme(
    of_all: Op[Tensor], of_two: Op[Tensor], x: TensorLike, axis: Axis, keepdims: bool, initial: float | None
) -> Tensor:
    x = operand(x)
    if initial is not None and x.size == 0:  # `initial`, in the shape of the maximum
        result = reduce.sum(x, axis=plain(axis), keepdims=bool(keepdims))
        return elementwise.cast_like(result + operand(initial), x)
    result = of_all(x, axis=plain(axis), keepdims=bool(keepdims))
    return result if initial is None else of_two(result, elementwise.cast_like(operand(initial), result))


def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return, as bool, whether any element along `axis` is not 0.

    Example:
        >>> any([[0.0, 0.0], [0.0, 3.0]], axis=1).numpy()
        array([False,  True])
    """
    return logic.greater(sum(logic.not_equal(x, 0), axis, keepdims), 0)


def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return, as bool, whether no element along `axis` is 0.

    Example:
        >>> all([[1.0, 0.0], [2.0, 3.0]], axis=1).numpy()
        array([False,  True])
    """
    return logic.equal(sum(logic.equal(x, 0), axis, keepdims), 0)


def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first maximum along `axis`, by default in the flattened x, as int32.

    Raises:
        ShapeError: no elements.

    Example:
        >>> argmax([[1.0, 5.0], [7.0, 2.0]]).numpy(), argmax([[1.0, 5.0], [7.0, 2.0]], axis=-1).numpy()
        (array(2, dtype=int32), array([1, 0], dtype=int32))
    """
    x = operand(x)
    at = reduce.argmax(reshape(x, -1), axis=0) if axis is None else reduce.argmax(x, axis=index(axis))
    if not keepdims:
        return at
    gone = axes_of(x.ndim, axis)
    return reshape(at, [1 if a in gone else n for a, n in enumerate(x.shape)])


def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """Return x in another dtype; a float that is too large for it becomes infinite.

    Example:
        >>> cast([1.5, -2.5], "int32").numpy()
        array([ 1, -2], dtype=int32)
    """
    return elementwise.cast(x, dtype=np.dtype(dtype))


def clip(x: TensorLike, x_min: TensorLike, x_max: TensorLike) -> Tensor:
    """Return x limited to [x_min, x_max], numbers or arrays; None is no limit. With numbers the gradient is 0 outside.

    Example:
        >>> clip([-1.0, 0.5, 2.0], 0, 1).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    x, limits = operand(x), (x_min, x_max)
    if builtins.all(isinstance(limit, int | float) for limit in limits):
        if not (is_floating(x.dtype) or builtins.all(isinstance(limit, int) for limit in limits)):
            x = cast(x, np.float32)
        return elementwise.clip(x, low=x_min, high=x_max)
    if x.dtype == np.bool_:
        x = cast(x, np.int32)
    if x_min is not None:
        x = elementwise.maximum(x, x_min)
    return x if x_max is None else elementwise.minimum(x, x_max)


def ones_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return ones in the shape of x, and in its dtype by default.

    Example:
        >>> ones_like([3.0, 4.0], dtype="int32").numpy()
        array([1, 1], dtype=int32)
    """
    ones = elementwise.ones_like(x)
    return ones if dtype is None or ones.dtype == np.dtype(dtype) else cast(ones, dtype)


def zeros_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return zeros in the shape of x, and in its dtype by default.

    Example:
        >>> zeros_like([3.0, 4.0]).numpy()
        array([0., 0.], dtype=float32)
    """
    zeros = elementwise.zeros_like(x)
    return zeros if dtype is None or zeros.dtype == np.dtype(dtype) else cast(zeros, dtype)


@overload
def where(condition: TensorLike) -> tuple[Tensor, ...]: ...


@overload
def where(condition: TensorLike, x1: TensorLike, x2: TensorLike) -> Tensor: ...


def where(
    condition: TensorLike, x1: TensorLike | None = None, x2: TensorLike | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Return x1 where the condition is not 0, x2 elsewhere; without both, the indices where that is, see `nonzero`.

    No gradient flows to elements that are not selected, even if they are NaN.

    Raises:
        ValueError: only one of x1 and x2 is given.

    Example:
        >>> where([True, False], [1.0, 2.0], 0.0).numpy()
        array([1., 0.], dtype=float32)
    """
    if x1 is None and x2 is None:
        return indexing.nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError("where needs a condition alone, or both x1 and x2, the values where it holds and elsewhere.")
    condition = operand(condition)
    if condition.dtype != np.bool_:
        condition = logic.not_equal(condition, 0)
    return elementwise.where(condition, x1, x2)


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
    y = linalg.matmul(reshape(a, (1, -1)) if a.ndim == 1 else a, reshape(b, (-1, 1)) if b.ndim == 1 else b)
    gone = {*([y.ndim - 2] if a.ndim == 1 else []), *([y.ndim - 1] if b.ndim == 1 else [])}
    return reshape(y, [n for axis, n in enumerate(y.shape) if axis not in gone]) if gone else y


def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 / x2, like `divide`: integers become floats.

    Example:
        >>> true_divide([1, 2], 2).numpy()
        array([0.5, 1. ], dtype=float32)
    """
    return elementwise.divide(x1, x2)


def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Return the elements of x at `indices` along `axis`, by default of the flattened x.

    A negative index counts from the end. One out of range is an error if the host has its value: on the CPU outside of
    recorded steps, and always for lists and NumPy arrays. Otherwise the result has all bits set: it is NaN, for
    integers -1 or the largest value, for bools True. It does not contribute to the gradient.

    Raises:
        IndexError: an index is out of range, and the host has its value.
        ShapeError: x does not have the axis.

    Example:
        >>> take([[1.0, 2.0], [3.0, 4.0]], [1, 0], axis=1).numpy()
        array([[2., 1.],
               [4., 3.]], dtype=float32)
    """
    x = operand(x)
    if axis is None:
        x, axis = reshape(x, -1), 0
    (at,) = axes_of(x.ndim, index(axis))
    return indexing.gathered(x, [slice(None)] * at + [indexing.whole(indices)] + [slice(None)] * (x.ndim - at - 1))
