"""Comparisons, and the logic of bools and bits, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpudl.backend import Array
from gpudl.engine.op import op
from gpudl.engine.spec import ShapeError, Spec, broadcast, is_floating, promote

_BOOL = np.dtype(bool)


def _compared(a: Spec, b: Spec) -> Spec:
    return Spec(broadcast(a.shape, b.shape), _BOOL)


@op(_compared)
def equal(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 == x2 as bool; NaN equals nothing."""
    xp.equal(x1, x2, out=out)


@op(_compared)
def not_equal(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 != x2 as bool."""
    xp.not_equal(x1, x2, out=out)


@op(_compared)
def greater(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 > x2 as bool."""
    xp.greater(x1, x2, out=out)


@op(_compared)
def greater_equal(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 >= x2 as bool."""
    xp.greater_equal(x1, x2, out=out)


@op(_compared)
def less(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 < x2 as bool."""
    xp.less(x1, x2, out=out)


@op(_compared)
def less_equal(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 <= x2 as bool."""
    xp.less_equal(x1, x2, out=out)


def _bits(*xs: Spec) -> Spec:
    dtype = promote(*(x.dtype for x in xs))
    if is_floating(dtype):
        raise ShapeError(f"bits are those of bools and integers, not of {dtype}. Compare first, e.g. x > 0, or cast.")
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
    """Return x << y of integers; bools count as int32."""
    xp.left_shift(x, y, out=out, dtype=out.dtype)


@op(_shifted)
def right_shift(xp: Any, out: Array, x: Array, y: Array) -> None:
    """Return x >> y of integers; bools count as int32."""
    xp.right_shift(x, y, out=out, dtype=out.dtype)
