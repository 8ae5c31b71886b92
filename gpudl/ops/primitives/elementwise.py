"""Elementwise arithmetic, functions, comparisons and casts."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine import cost
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, Spec, broadcast, is_floating, promote
from gpudl.engine.tensor import Tensor
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.declare import elementwise
from gpudl.ops.primitives.logic import equal, not_equal

__all__ = [
    "add",
    "cast_like",
    "divide",
    "floor_divide",
    "fmax",
    "fmin",
    "heaviside",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "reciprocal",
    "sign",
    "square",
    "subtract",
]

_BOOL = np.dtype(bool)


def same(x: Spec, **_: object) -> Spec:
    """Return the spec of x for the result."""
    return x


def _binary(a: Spec, b: Spec) -> Spec:
    return Spec(broadcast(a.shape, b.shape), promote(a.dtype, b.dtype))


def floating(x: Spec) -> Spec:
    """Return the spec of a floating-point or complex result for x, which may be of integers."""
    return x if is_floating(x.dtype) or x.dtype.kind == "c" else x.with_dtype("float32")


def counted(x: Spec, **_: object) -> Spec:
    """Return the spec of x, with int32 in place of bool."""
    return x.with_dtype("int32") if x.dtype == _BOOL else x


def whole(a: Spec, b: Spec) -> Spec:
    return counted(_binary(a, b))


def _difference(a: Spec, b: Spec) -> Spec:
    out = _binary(a, b)
    if out.dtype == _BOOL:
        raise ShapeError("bools cannot be subtracted. Use != to compare them, or cast them.")
    return out


def _signed(x: Spec) -> Spec:
    if x.dtype == _BOOL:
        raise ShapeError("bools have no sign. Use ~ to invert them, or cast them.")
    return x


def _quotient(a: Spec, b: Spec) -> Spec:
    return floating(_binary(a, b))


@elementwise(_binary)
def add(x1: Expression, x2: Expression) -> Expression:
    """Return x1 + x2, broadcast."""
    return x1 + x2


add.vjp(x1=lambda g, y, a, b: g, x2=lambda g, y, a, b: g)


@elementwise(_difference)
def subtract(x1: Expression, x2: Expression) -> Expression:
    """Return x1 - x2, broadcast."""
    return x1 - x2


subtract.vjp(x1=lambda g, y, a, b: g, x2=lambda g, y, a, b: -g)


@elementwise(_binary)
def multiply(x1: Expression, x2: Expression) -> Expression:
    """Return x1 * x2, broadcast."""
    return x1 * x2


multiply.vjp(x1=lambda g, y, a, b: g * b, x2=lambda g, y, a, b: g * a)


@elementwise(_quotient)
def divide(x1: Expression, x2: Expression) -> Expression:
    """Return x1 / x2, broadcast; integers become floats."""
    return x1 / x2


divide.vjp(x1=lambda g, y, a, b: g / b, x2=lambda g, y, a, b: -g * y / b)


@elementwise(floating)
def reciprocal(x: Expression) -> Expression:
    """Return 1 / x; integers become floats."""
    return 1 / x


reciprocal.vjp(x=lambda g, y, x: -g * y * y)


@elementwise(whole)
def floor_divide(x1: Expression, x2: Expression) -> Expression:
    """Return x1 / x2 rounded down, broadcast; its gradient is 0 everywhere. The quotient of integers by 0 is 0."""
    return e.floor_divide(x1, x2)


@elementwise(whole)
def mod(x1: Expression, x2: Expression) -> Expression:
    """Return x1 - floor(x1 / x2) * x2, broadcast, which has the sign of x2. The remainder of integers by 0 is 0."""
    return e.remainder(x1, x2)


mod.vjp(x1=lambda g, y, a, b: g, x2=lambda g, y, a, b: -g * (a // b))


def _cast(x: Spec, *, dtype: DTypeLike) -> Spec:
    return x.with_dtype(np.dtype(dtype))


@elementwise(_cast, flops=cost.free)
def cast(x: Expression, *, dtype: DTypeLike) -> Expression:
    """Return x with another dtype; a float that is too large for it becomes infinite."""
    return x


cast.vjp(x=lambda g, y, x, dtype: g if is_floating(x.dtype) else None)


def cast_like(x: Tensor | float, like: Tensor) -> Tensor:
    """Return `x`, a tensor or a number, in the dtype of `like`."""
    if isinstance(x, int | float):
        return as_tensor(x, like=like)
    if x.dtype == like.dtype:
        return x
    return cast(x, dtype=like.dtype)


@elementwise(_binary)
def maximum(x1: Expression, x2: Expression) -> Expression:
    """Return the larger of x1 and x2; at a tie the gradient goes to x1. NaN propagates."""
    return e.maximum(x1, x2)


maximum.vjp(x1=lambda g, y, a, b: g * cast_like(a >= b, g), x2=lambda g, y, a, b: g * cast_like(a < b, g))


@elementwise(_binary)
def minimum(x1: Expression, x2: Expression) -> Expression:
    """Return the smaller of x1 and x2; at a tie the gradient goes to x1. NaN propagates."""
    return e.minimum(x1, x2)


minimum.vjp(x1=lambda g, y, a, b: g * cast_like(a <= b, g), x2=lambda g, y, a, b: g * cast_like(a > b, g))


def _present(extreme: Expression, x1: Expression, x2: Expression) -> Expression:
    return e.where(x1 != x1, x2, e.where(x2 != x2, x1, extreme))


@elementwise(_binary)
def fmax(x1: Expression, x2: Expression) -> Expression:
    """Return the larger of x1 and x2, and of a number and NaN the number; at a tie the gradient goes to x1."""
    return _present(e.maximum(x1, x2), x1, x2)


@elementwise(_binary)
def fmin(x1: Expression, x2: Expression) -> Expression:
    """Return the smaller of x1 and x2, and of a number and NaN the number; at a tie the gradient goes to x1."""
    return _present(e.minimum(x1, x2), x1, x2)


for _extreme in (fmax, fmin):
    _extreme.vjp(
        x1=lambda g, y, a, b: g * cast_like(equal(y, a), g), x2=lambda g, y, a, b: g * cast_like(not_equal(y, a), g)
    )


@elementwise(_quotient)
def heaviside(x1: Expression, x2: Expression) -> Expression:
    """Return 0 for negative x1, 1 for positive, x2 for 0; integers become floats."""
    return e.where(x1 == 0, x2, e.where(x1 > 0, 1, e.where(x1 < 0, 0, x1)))


@elementwise(_signed)
def negative(x: Expression) -> Expression:
    """Return -x."""
    return -x


negative.vjp(x=lambda g, y, x: -g)


@elementwise(_signed)
def sign(x: Expression) -> Expression:
    """Return -1, 0 or 1; its gradient is 0 everywhere."""
    return e.sign(x)


@elementwise(same)
def absolute(x: Expression) -> Expression:
    """Return |x|; the gradient at 0 is 0."""
    return e.absolute(x)


absolute.vjp(x=lambda g, y, x: g * sign(x))


@elementwise(counted)
def square(x: Expression) -> Expression:
    """Return x * x; bools are cast to int32."""
    return x * x


square.vjp(x=lambda g, y, x: g * (x * 2))


@elementwise(counted, flops=cost.per_output(2))
def clip(x: Expression, *, low: float, high: float) -> Expression:
    """Return x limited to [low, high]; the gradient is 0 outside."""
    return e.minimum(e.maximum(x, low), high)


clip.vjp(x=lambda g, y, x, low, high: g * cast_like(equal(x, y), g))


def _where(condition: Spec, a: Spec, b: Spec) -> Spec:
    if condition.dtype != _BOOL:
        raise ShapeError(f"the condition must be bool, got {condition.dtype}. Compare first, e.g. x > 0.")
    return Spec(broadcast(condition.shape, a.shape, b.shape), promote(a.dtype, b.dtype))


@elementwise(_where)
def where(condition: Expression, x1: Expression, x2: Expression) -> Expression:
    """Return x1 where condition, x2 elsewhere; no gradient flows to unselected elements, even if they are NaN."""
    return e.where(condition, x1, x2)


where.vjp(
    x1=lambda g, y, condition, a, b: where(condition, g, 0.0),
    x2=lambda g, y, condition, a, b: where(condition, 0.0, g),
)
heaviside.vjp(x2=lambda g, y, a, b: where(equal(a, 0), g, 0.0))


@elementwise(same, flops=cost.free)
def ones_like(x: Expression) -> Expression:
    """Return ones in the shape and dtype of x."""
    return e.number(1)


@elementwise(same, flops=cost.free)
def zeros_like(x: Expression) -> Expression:
    """Return zeros in the shape and dtype of x."""
    return e.number(0)
