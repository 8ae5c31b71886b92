"""Elementwise comparisons, logical and bitwise operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpudl.engine.spec import ShapeError, Spec, broadcast, is_floating, promote
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.declare import elementwise

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
    "logical_xor",
    "not_equal",
    "right_shift",
]

_BOOL = np.dtype(bool)


def _compared(a: Spec, b: Spec) -> Spec:
    return Spec(broadcast(a.shape, b.shape), _BOOL)


def _truth(x: Spec) -> Spec:
    return x.with_dtype(_BOOL)


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
        raise ShapeError(f"bitwise operations need bools or integers, not {dtype}. Compare first, e.g. x > 0, or cast.")
    return Spec(broadcast(*(x.shape for x in xs)), dtype)


def _shifted(a: Spec, b: Spec) -> Spec:
    out = _bits(a, b)
    return out.with_dtype("int32") if out.dtype == _BOOL else out


@elementwise(_bits)
def bitwise_and(x: Expression, y: Expression) -> Expression:
    """Return x & y of bools or integers."""
    return e.bitwise_and(x, y)


@elementwise(_bits)
def bitwise_or(x: Expression, y: Expression) -> Expression:
    """Return x | y of bools or integers."""
    return e.bitwise_or(x, y)


@elementwise(_bits)
def bitwise_xor(x: Expression, y: Expression) -> Expression:
    """Return x ^ y of bools or integers."""
    return e.bitwise_xor(x, y)


@elementwise(_bits)
def bitwise_not(x: Expression) -> Expression:
    """Return ~x of bools or integers."""
    return e.invert(x)


@elementwise(_shifted)
def left_shift(x: Expression, y: Expression) -> Expression:
    """Return x << y of integers; bools are cast to int32."""
    return e.left_shift(x, y)


@elementwise(_shifted)
def right_shift(x: Expression, y: Expression) -> Expression:
    """Return x >> y of integers; bools are cast to int32."""
    return e.right_shift(x, y)


@elementwise(_compared)
def logical_and(x1: Expression, x2: Expression) -> Expression:
    """Return, as bool, whether neither x1 nor x2 is 0, elementwise."""
    return e.bitwise_and(x1 != 0, x2 != 0)


@elementwise(_compared)
def logical_or(x1: Expression, x2: Expression) -> Expression:
    """Return, as bool, whether x1 and x2 are not both 0, elementwise."""
    return e.bitwise_or(x1 != 0, x2 != 0)


@elementwise(_compared)
def logical_xor(x1: Expression, x2: Expression) -> Expression:
    """Return, as bool, where just one of x1 and x2 is 0."""
    return e.bitwise_xor(x1 != 0, x2 != 0)


@elementwise(_truth)
def logical_not(x: Expression) -> Any:
    """Return, as bool, whether each element of x is 0."""
    return x == 0
