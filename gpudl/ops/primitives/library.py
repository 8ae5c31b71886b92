"""Elementwise functions that NumPy and CuPy have under one name: trigonometric, hyperbolic, logarithms, rounding."""

from __future__ import annotations

from collections.abc import Callable
from math import log as logarithm
from types import ModuleType

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.op import Op
from gpudl.engine.spec import ShapeError, Spec, broadcast, is_floating, promote
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import floating, square, whole
from gpudl.ops.primitives.exponential import both_floating, exp2, rsqrt

__all__ = [
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "cbrt",
    "ceil",
    "cosh",
    "floor",
    "fmod",
    "gcd",
    "hypot",
    "lcm",
    "ldexp",
    "log2",
    "log10",
    "nextafter",
    "signbit",
    "sinh",
    "tan",
]


def _unary(name: str, says: str, infer: Callable[..., Spec] = floating) -> Op[Tensor]:
    """Make an op of the function of NumPy and CuPy that has its name."""

    def forward(xp: ModuleType, out: Array, x: Array) -> None:
        getattr(xp, name)(x, out=out, dtype=out.dtype)

    forward.__name__, forward.__doc__ = name, f"Return {says}."
    return op(infer)(forward)


def _binary(name: str, says: str, infer: Callable[..., Spec], flops: cost.Flops | None = None) -> Op[Tensor]:
    def forward(xp: ModuleType, out: Array, x1: Array, x2: Array) -> None:
        getattr(xp, name)(x1, x2, out=out, dtype=out.dtype)

    forward.__name__, forward.__doc__ = name, f"Return {says}."
    return op(infer)(forward) if flops is None else op(infer, flops=flops)(forward)


tan = _unary("tan", "the tangent of x, in radians")
arcsin = _unary("arcsin", "the angle in [-pi / 2, pi / 2] whose sine is x")
arccos = _unary("arccos", "the angle in [0, pi] whose cosine is x")
arctan = _unary("arctan", "the angle in (-pi / 2, pi / 2) whose tangent is x")
sinh = _unary("sinh", "the hyperbolic sine of x")
cosh = _unary("cosh", "the hyperbolic cosine of x")
arcsinh = _unary("arcsinh", "the number whose hyperbolic sine is x")
arccosh = _unary("arccosh", "the number from 0 on whose hyperbolic cosine is x")
arctanh = _unary("arctanh", "the number whose hyperbolic tangent is x")
log2 = _unary("log2", "the logarithm of x to base 2")
log10 = _unary("log10", "the logarithm of x to base 10")
cbrt = _unary("cbrt", "the cube root of x, which is negative for a negative x")
floor = _unary("floor", "the largest whole number that is not above x; its gradient is 0 everywhere")
ceil = _unary("ceil", "the smallest whole number that is not below x; its gradient is 0 everywhere")

tan.vjp(x=lambda g, y, x: g * (square(y) + 1))
arcsin.vjp(x=lambda g, y, x: g * rsqrt(1 - square(x)))
arccos.vjp(x=lambda g, y, x: -g * rsqrt(1 - square(x)))
arctan.vjp(x=lambda g, y, x: g / (square(x) + 1))
sinh.vjp(x=lambda g, y, x: g * cosh(x))
cosh.vjp(x=lambda g, y, x: g * sinh(x))
arcsinh.vjp(x=lambda g, y, x: g * rsqrt(square(x) + 1))
arccosh.vjp(x=lambda g, y, x: g * rsqrt((x - 1) * (x + 1)))
arctanh.vjp(x=lambda g, y, x: g / (1 - square(x)))
log2.vjp(x=lambda g, y, x: g / (x * logarithm(2)))
log10.vjp(x=lambda g, y, x: g / (x * logarithm(10)))
cbrt.vjp(x=lambda g, y, x: g / (square(y) * 3))


def _rounded(x: Spec, *, decimals: int = 0) -> Spec:
    if not is_floating(x.dtype):
        raise ShapeError(f"only floats are rounded, got {x.dtype}.")
    return x


@op(_rounded)
def round(xp: ModuleType, out: Array, x: Array, *, decimals: int = 0) -> None:
    """Return x rounded to a number of decimals, halves to the even digit; its gradient is 0 everywhere."""
    xp.round(x, decimals, out=out)


trunc = _unary("trunc", "x without the digits after the point; its gradient is 0 everywhere", _rounded)


def _bool(x: Spec) -> Spec:
    return x.with_dtype("bool")


@op(_bool)
def signbit(xp: ModuleType, out: Array, x: Array) -> None:
    """Return, as bool, whether x is negative, or -0."""
    xp.signbit(x.astype(np.float32) if x.dtype.kind == "b" else x, out=out)


arctan2 = _binary("arctan2", "the angle in [-pi, pi] of the point (x2, x1)", both_floating)
hypot = _binary("hypot", "sqrt(x1**2 + x2**2), without overflow", both_floating)
fmod = _binary("fmod", "the remainder of x1 / x2, with the sign of x1", whole)

arctan2.vjp(
    x1=lambda g, y, a, b: g * b / (square(a) + square(b)),
    x2=lambda g, y, a, b: -g * a / (square(a) + square(b)),
)
hypot.vjp(x1=lambda g, y, a, b: g * a / y, x2=lambda g, y, a, b: g * b / y)
fmod.vjp(x1=lambda g, y, a, b: g, x2=lambda g, y, a, b: -g * trunc(a / b))


def _integers(a: Spec, b: Spec) -> Spec:
    dtype = promote(a.dtype, b.dtype)
    if dtype.kind not in "iu":
        raise ShapeError(f"common divisors and multiples are of integers, not of {a.dtype} and {b.dtype}.")
    return Spec(broadcast(a.shape, b.shape), dtype)


gcd = _binary("gcd", "the greatest common divisor of integers", _integers)
lcm = _binary("lcm", "the least common multiple of integers", _integers)
# It computes nothing, so that 16-bit floats are not first cast to 32 bits, in which the next number is another one.
nextafter = _binary("nextafter", "the number next to x1 towards x2", both_floating, cost.free)


def _scaled(a: Spec, b: Spec) -> Spec:
    if b.dtype.kind not in "iu":
        raise ShapeError(f"the exponents must be integers, got {b.dtype}. Use x1 * 2.0**x2 for others.")
    return Spec(broadcast(a.shape, b.shape), floating(a).dtype)


@op(_scaled)
def ldexp(xp: ModuleType, out: Array, x1: Array, x2: Array) -> None:
    """Return x1 * 2**x2 for integers x2, without overflow in between."""
    xp.ldexp(x1.astype(out.dtype), x2.astype(np.int32), out=out)


ldexp.vjp(x1=lambda g, y, a, b: g * exp2(b))
