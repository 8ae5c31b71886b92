"""The indices of the least and greatest elements, with Keras's arguments and dtypes."""

from __future__ import annotations

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.reductions import all, argmax
from gpudl.ops.numpy.selection import where
from gpudl.ops.primitives import elementwise, logic

__all__ = [
    "argmin",
    "nanargmax",
    "nanargmin",
]


def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first minimum along `axis`, by default in the flattened x, as int32.

    Raises:
        ShapeError: no elements.

    Example:
        >>> argmin([[1.0, 5.0], [7.0, 2.0]], axis=-1).numpy()
        array([0, 1], dtype=int32)
    """
    return argmax(_reversed(operand(x)), axis, keepdims)


def _reversed(x: Tensor) -> Tensor:
    """Return numbers in the opposite order of those of x; the negative of the least integer would be itself."""
    return elementwise.negative(x) if is_floating(x.dtype) else logic.bitwise_not(x)


def nanargmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first maximum of the elements that are not NaN, see `argmax`; -1 if all are NaN.

    Raises:
        ShapeError: no elements.

    Example:
        >>> nanargmax([1.0, np.nan, 0.0]).numpy()
        array(0, dtype=int32)
    """
    x = operand(x)
    if not is_floating(x.dtype):
        return argmax(x, axis, keepdims)
    missing = logic.not_equal(x, x)
    at = argmax(where(missing, -np.inf, x), axis, keepdims)
    return where(all(missing, axis, keepdims), -1, at)


def nanargmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first minimum of the elements that are not NaN, see `argmin`; -1 if all are NaN.

    Raises:
        ShapeError: no elements.

    Example:
        >>> nanargmin([1.0, np.nan, 0.0]).numpy()
        array(2, dtype=int32)
    """
    return nanargmax(_reversed(operand(x)), axis, keepdims)
