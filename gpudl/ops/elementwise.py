"""Element by element: arithmetic, functions, comparisons, casts."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.op import op, rounded
from gpudl.engine.spec import ShapeError, Spec, broadcast, is_floating, promote
from gpudl.engine.tensor import Tensor
from gpudl.ops.logic import equal

_BOOL = np.dtype(bool)


def same(x: Spec, **_: Any) -> Spec:
    """Return the spec of a result like x."""
    return x


def _binary(a: Spec, b: Spec) -> Spec:
    return Spec(broadcast(a.shape, b.shape), promote(a.dtype, b.dtype))


def floating(x: Spec) -> Spec:
    """Return the spec of a float result for x, which may be integers."""
    return x if is_floating(x.dtype) else x.with_dtype("float32")


def counted(x: Spec, **_: Any) -> Spec:
    """Return a spec in which bools count as int32."""
    return x.with_dtype("int32") if x.dtype == _BOOL else x


def _whole(a: Spec, b: Spec) -> Spec:
    return counted(_binary(a, b))


def _difference(a: Spec, b: Spec) -> Spec:
    out = _binary(a, b)
    if out.dtype == _BOOL:
        raise ShapeError("bools cannot be subtracted. Use != for what differs, or cast them.")
    return out


def _signed(x: Spec) -> Spec:
    if x.dtype == _BOOL:
        raise ShapeError("bools have no sign. Use ~ for the opposite, or cast them.")
    return x


def _quotient(a: Spec, b: Spec) -> Spec:
    return floating(_binary(a, b))


@op(_binary)
def add(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 + x2, broadcast."""
    xp.add(x1, x2, out=out, dtype=out.dtype)


add.vjp(x1=lambda g, y, a, b: g, x2=lambda g, y, a, b: g)


@op(_difference)
def subtract(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 - x2, broadcast."""
    xp.subtract(x1, x2, out=out, dtype=out.dtype)


subtract.vjp(x1=lambda g, y, a, b: g, x2=lambda g, y, a, b: -g)


@op(_binary)
def multiply(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 * x2, broadcast."""
    xp.multiply(x1, x2, out=out, dtype=out.dtype)


multiply.vjp(x1=lambda g, y, a, b: g * b, x2=lambda g, y, a, b: g * a)


@op(_quotient)
def divide(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 / x2, broadcast; integers become floats."""
    xp.divide(x1, x2, out=out, dtype=out.dtype)


divide.vjp(x1=lambda g, y, a, b: g / b, x2=lambda g, y, a, b: -g * y / b)


@op(floating)
def log(xp: Any, out: Array, x: Array) -> None:
    """Return the natural logarithm of x."""
    xp.log(x, out=out, dtype=out.dtype)


log.vjp(x=lambda g, y, x: g / x)


@op(_whole)
def floor_divide(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 / x2 rounded down, broadcast; its gradient is 0 everywhere. An integer divided by 0 is 0."""
    xp.floor_divide(x1, x2, out=out, dtype=out.dtype)


@op(_whole)
def mod(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 - floor(x1 / x2) * x2, broadcast, which has the sign of x2. What an integer leaves by 0 is 0."""
    xp.remainder(x1, x2, out=out, dtype=out.dtype)


mod.vjp(x1=lambda g, y, a, b: g, x2=lambda g, y, a, b: -g * (a // b))


def _cast(x: Spec, *, dtype: Any) -> Spec:
    return x.with_dtype(np.dtype(dtype))


@op(_cast, flops=cost.free)
def cast(xp: Any, out: Array, x: Array, *, dtype: Any) -> None:
    """Return x with another dtype; a float that is too large for it becomes infinite."""
    rounded(xp, out, x)


cast.vjp(x=lambda g, y, x, dtype: g if is_floating(x.dtype) else None)


def cast_like(x: Tensor, like: Tensor) -> Tensor:
    """Return `x` in the dtype of `like`."""
    if x.dtype == like.dtype:
        return x
    result: Tensor = cast(x, dtype=like.dtype)
    return result


@op(_whole)
def power(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 ** x2, broadcast; the gradient with respect to x2 wants a positive x1. Bools count as int32."""
    xp.power(x1, x2, out=out, dtype=out.dtype)


power.vjp(x1=lambda g, y, a, b: g * b * a ** (b - 1), x2=lambda g, y, a, b: g * y * log(a))


@op(_binary)
def maximum(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return the larger of x1 and x2; at a tie the gradient goes to x1. NaN propagates."""
    xp.maximum(x1, x2, out=out, dtype=out.dtype)


maximum.vjp(x1=lambda g, y, a, b: g * cast_like(a >= b, g), x2=lambda g, y, a, b: g * cast_like(a < b, g))


@op(_binary)
def minimum(xp: Any, out: Array, x1: Array, x2: Array) -> None:
    """Return the smaller of x1 and x2; at a tie the gradient goes to x1. NaN propagates."""
    xp.minimum(x1, x2, out=out, dtype=out.dtype)


minimum.vjp(x1=lambda g, y, a, b: g * cast_like(a <= b, g), x2=lambda g, y, a, b: g * cast_like(a > b, g))


@op(_signed)
def negative(xp: Any, out: Array, x: Array) -> None:
    """Return -x."""
    xp.negative(x, out=out)


negative.vjp(x=lambda g, y, x: -g)


@op(_signed)
def sign(xp: Any, out: Array, x: Array) -> None:
    """Return -1, 0 or 1; its gradient is 0 everywhere."""
    xp.sign(x, out=out)


@op(same)
def absolute(xp: Any, out: Array, x: Array) -> None:
    """Return |x|; the gradient at 0 is 0."""
    xp.absolute(x, out=out)


absolute.vjp(x=lambda g, y, x: g * sign(x))


@op(counted)
def square(xp: Any, out: Array, x: Array) -> None:
    """Return x * x; bools count as int32."""
    xp.multiply(x, x, out=out, dtype=out.dtype)


square.vjp(x=lambda g, y, x: g * (x * 2))


@op(floating)
def sqrt(xp: Any, out: Array, x: Array) -> None:
    """Return the square root of x."""
    xp.sqrt(x, out=out, dtype=out.dtype)


sqrt.vjp(x=lambda g, y, x: g * 0.5 / y)


@op(floating)
def exp(xp: Any, out: Array, x: Array) -> None:
    """Return e ** x."""
    xp.exp(x, out=out, dtype=out.dtype)


exp.vjp(x=lambda g, y, x: g * y)


@op(floating)
def log1p(xp: Any, out: Array, x: Array) -> None:
    """Return log(1 + x), exact for small x."""
    xp.log1p(x, out=out, dtype=out.dtype)


log1p.vjp(x=lambda g, y, x: g / (x + 1))


@op(floating)
def expm1(xp: Any, out: Array, x: Array) -> None:
    """Return e ** x - 1, exact for small x."""
    xp.expm1(x, out=out, dtype=out.dtype)


expm1.vjp(x=lambda g, y, x: g * (y + 1))


@op(counted, flops=cost.per_output(2))
def clip(xp: Any, out: Array, x: Array, *, low: float, high: float) -> None:
    """Return x limited to [low, high]; the gradient is 0 outside."""
    xp.maximum(x, out.dtype.type(low), out=out)
    xp.minimum(out, out.dtype.type(high), out=out)


clip.vjp(x=lambda g, y, x, low, high: g * cast_like(equal(x, y), g))


def _where(condition: Spec, a: Spec, b: Spec) -> Spec:
    if condition.dtype != _BOOL:
        raise ShapeError(f"the condition must be bool, got {condition.dtype}. Compare first, e.g. x > 0.")
    return Spec(broadcast(condition.shape, a.shape, b.shape), promote(a.dtype, b.dtype))


@op(_where)
def where(xp: Any, out: Array, condition: Array, x1: Array, x2: Array) -> None:
    """Return x1 where condition, x2 elsewhere; what is not chosen passes no gradient, NaN or not."""
    out[...] = x2
    xp.copyto(out, xp.broadcast_to(x1, out.shape), where=xp.broadcast_to(condition, out.shape))


where.vjp(
    x1=lambda g, y, condition, a, b: where(condition, g, 0.0),
    x2=lambda g, y, condition, a, b: where(condition, 0.0, g),
)


@op(same, flops=cost.free)
def ones_like(xp: Any, out: Array, x: Array) -> None:
    """Return ones in the shape and dtype of x."""
    out[...] = 1


@op(same, flops=cost.free)
def zeros_like(xp: Any, out: Array, x: Array) -> None:
    """Return zeros in the shape and dtype of x."""
    out[...] = 0


# Numerators and denominators, highest power first, of the two rational functions in `erf`.
_ERF_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_ERF_LARGE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)


def _rational(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    values = []
    for polynomial in coefficients:
        value = x * x.dtype.type(polynomial[0])
        for c in polynomial[1:-1]:
            value = (value + x.dtype.type(c)) * x
        values.append(value + x.dtype.type(polynomial[-1]))
    return values[0] / values[1]


@op(floating)
def erf(xp: Any, out: Array, x: Array) -> None:
    """Return the error function, 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    Source: Cody, "Rational Chebyshev approximation for the error function", Math. Comp. 23, 1969.
    """
    z = x.astype(out.dtype)
    size = xp.minimum(xp.absolute(z), z.dtype.type(6))  # where 1 - erf is below half a unit of float64
    near = xp.minimum(size, z.dtype.type(0.46875))
    small = near * _rational(near * near, _ERF_SMALL)
    large = 1 - xp.exp(-size * size) * _rational(size, _ERF_LARGE)
    out[...] = xp.where(size <= near, small, large) * xp.sign(z)


erf.vjp(x=lambda g, y, x: g * (exp(-(x * x)) * (2 / np.pi**0.5)))
