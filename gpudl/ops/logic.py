"""Comparisons, and the logic of bools and bits, element by element."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from gpudl.backend import Array
from gpudl.engine.spec import ShapeError, Spec, broadcast, is_floating, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.kernels.expression import Expression
from gpudl.ops.declare import elementwise, op

__all__ = [
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "equal",
    "greater",
    "greater_equal",
    "left_shift",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "not_equal",
    "right_shift",
]

_BOOL = np.dtype(bool)


def _compared(a: Spec, b: Spec) -> Spec:
    return Spec(broadcast(a.shape, b.shape), _BOOL)


@elementwise(_compared)
def equal(x1: Expression, x2: Expression) -> Any:
    """Return x1 == x2 as bool; NaN equals nothing."""
    return x1 == x2


@elementwise(_compared)
def not_equal(x1: Expression, x2: Expression) -> Any:
    """Return x1 != x2 as bool."""
    return x1 != x2


@elementwise(_compared)
def greater(x1: Expression, x2: Expression) -> Expression:
    """Return x1 > x2 as bool."""
    return x1 > x2


@elementwise(_compared)
def greater_equal(x1: Expression, x2: Expression) -> Expression:
    """Return x1 >= x2 as bool."""
    return x1 >= x2


@elementwise(_compared)
def less(x1: Expression, x2: Expression) -> Expression:
    """Return x1 < x2 as bool."""
    return x1 < x2


@elementwise(_compared)
def less_equal(x1: Expression, x2: Expression) -> Expression:
    """Return x1 <= x2 as bool."""
    return x1 <= x2


def _bits(*xs: Spec) -> Spec:
    dtype = promote(*(x.dtype for x in xs))
    if is_floating(dtype):
        raise ShapeError(f"bits are those of bools and integers, not of {dtype}. Compare first, e.g. x > 0, or cast.")
    return Spec(broadcast(*(x.shape for x in xs)), dtype)


def _shifted(a: Spec, b: Spec) -> Spec:
    out = _bits(a, b)
    return out.with_dtype("int32") if out.dtype == _BOOL else out


@op(_bits)
def bitwise_and(xp: ModuleType, out: Array, x: Array, y: Array) -> None:
    """Return x & y of bools or integers."""
    xp.bitwise_and(x, y, out=out, dtype=out.dtype)


@op(_bits)
def bitwise_or(xp: ModuleType, out: Array, x: Array, y: Array) -> None:
    """Return x | y of bools or integers."""
    xp.bitwise_or(x, y, out=out, dtype=out.dtype)


@op(_bits)
def bitwise_xor(xp: ModuleType, out: Array, x: Array, y: Array) -> None:
    """Return x ^ y of bools or integers."""
    xp.bitwise_xor(x, y, out=out, dtype=out.dtype)


@op(_bits)
def bitwise_not(xp: ModuleType, out: Array, x: Array) -> None:
    """Return ~x of bools or integers."""
    xp.invert(x, out=out)


@op(_shifted)
def left_shift(xp: ModuleType, out: Array, x: Array, y: Array) -> None:
    """Return x << y of integers; bools count as int32."""
    xp.left_shift(x, y, out=out, dtype=out.dtype)


@op(_shifted)
def right_shift(xp: ModuleType, out: Array, x: Array, y: Array) -> None:
    """Return x >> y of integers; bools count as int32."""
    xp.right_shift(x, y, out=out, dtype=out.dtype)


def logical_not(x: TensorLike) -> Tensor:
    """Return, as bool, where x is 0.

    Example:
        >>> logical_not([0, 2]).numpy()
        array([ True, False])
    """
    return equal(x, 0)


def logical_and(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return, as bool, where neither x1 nor x2 is 0.

    Example:
        >>> logical_and([0, 1, 2], [3, 0, 4]).numpy()
        array([False, False,  True])
    """
    return bitwise_and(not_equal(x1, 0), not_equal(x2, 0))


def logical_or(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return, as bool, where x1 and x2 are not both 0.

    Example:
        >>> logical_or([0, 1, 0], [3, 0, 0]).numpy()
        array([ True,  True, False])
    """
    return bitwise_or(not_equal(x1, 0), not_equal(x2, 0))
