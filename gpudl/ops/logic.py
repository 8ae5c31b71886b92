"""Elementwise comparisons, logical and bitwise operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpudl.backend import Array
from gpudl.engine.op import op
from gpudl.engine.spec import ShapeError, Spec, broadcast, is_floating, promote
from gpudl.kernels.expression import Expression
from gpudl.ops.declare import elementwise

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
        raise ShapeError(f"bitwise operations need bools or integers, not {dtype}. Compare first, e.g. x > 0, or cast.")
    return Spec(broadcast(*(x.shape for x in xs)), dtype)


def _shifted(a: Spec, b: Spec) -> Spec:
    out = _bits(a, b)
    return out.with_dtype("int32") if out.dtype == _BOOL else out


@op(_bits)
def bitwise_and(xp: Any, out: Array, x: Array, y: Array) -> None:
    """Return x & y of bools or integers."""
    xp.bitwise_and(x, y, out=out, dtype=out.dtype)


@op(_bits)
def bitwise_or(xp: Any, out: Array, x: Array, y: Array) -> None:
    """Return x | y of bools or integers."""
    xp.bitwise_or(x, y, out=out, dtype=out.dtype)


@op(_bits)
def bitwise_xor(xp: Any, out: Array, x: Array, y: Array) -> None:
    """Return x ^ y of bools or integers."""
    xp.bitwise_xor(x, y, out=out, dtype=out.dtype)


@op(_bits)
def bitwise_not(xp: Any, out: Array, x: Array) -> None:
    """Return ~x of bools or integers."""
    xp.invert(x, out=out)


@op(_shifted)
def left_shift(xp: Any, out: Array, x: Array, y: Array) -> None:
    """Return x << y of integers; bools are cast to int32."""
    xp.left_shift(x, y, out=out, dtype=out.dtype)


@op(_shifted)
def right_shift(xp: Any, out: Array, x: Array, y: Array) -> None:
    """Return x >> y of integers; bools are cast to int32."""
    xp.right_shift(x, y, out=out, dtype=out.dtype)
