"""Elementwise powers, exponentials, logarithms, sine and cosine, as expressions."""

from __future__ import annotations

import numpy as np

from gpudl.engine.spec import Spec
from gpudl.engine.tensor import Tensor
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.activation import sigmoid
from gpudl.ops.primitives.declare import elementwise
from gpudl.ops.primitives.elementwise import absolute, floating, where, whole
from gpudl.ops.primitives.logic import equal

__all__ = [
    "cos",
    "deg2rad",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "logaddexp",
    "logaddexp2",
    "power",
    "rad2deg",
    "rsqrt",
    "sin",
    "sinc",
    "sqrt",
]

_LOG_2 = float(np.log(2))


@elementwise(floating)
def log(x: Expression) -> Expression:
    """Return the natural logarithm of x."""
    return e.log(x)


log.vjp(x=lambda g, y, x: g / x)


@elementwise(whole)
def power(x1: Expression, x2: Expression) -> Expression:
    """Return x1 ** x2, broadcast; the gradient with respect to x2 requires a positive x1. Bools are cast to int32."""
    return x1**x2


power.vjp(x1=lambda g, y, a, b: g * b * a ** (b - 1), x2=lambda g, y, a, b: g * y * log(a))


@elementwise(floating)
def sqrt(x: Expression) -> Expression:
    """Return the square root of x."""
    return e.sqrt(x)


sqrt.vjp(x=lambda g, y, x: g * 0.5 / y)


@elementwise(floating)
def rsqrt(x: Expression) -> Expression:
    """Return 1 / sqrt(x)."""
    return 1 / e.sqrt(x)


rsqrt.vjp(x=lambda g, y, x: g * y * y * y * -0.5)


@elementwise(floating)
def exp(x: Expression) -> Expression:
    """Return e ** x."""
    return e.exp(x)


exp.vjp(x=lambda g, y, x: g * y)


@elementwise(floating)
def log1p(x: Expression) -> Expression:
    """Return log(1 + x), accurate for small x."""
    return e.log1p(x)


log1p.vjp(x=lambda g, y, x: g / (x + 1))


@elementwise(floating)
def expm1(x: Expression) -> Expression:
    """Return e ** x - 1, accurate for small x."""
    return e.expm1(x)


expm1.vjp(x=lambda g, y, x: g * (y + 1))


@elementwise(floating)
def erf(x: Expression) -> Expression:
    """Return the error function, 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x."""
    return e.erf(x)


erf.vjp(x=lambda g, y, x: g * (exp(-(x * x)) * (2 / np.pi**0.5)))


@elementwise(floating)
def sin(x: Expression) -> Expression:
    """Return the sine of x, in radians."""
    return e.sin(x)


@elementwise(floating)
def cos(x: Expression) -> Expression:
    """Return the cosine of x, in radians."""
    return e.cos(x)


sin.vjp(x=lambda g, y, x: g * cos(x))
cos.vjp(x=lambda g, y, x: -(g * sin(x)))


def both_floating(a: Spec, b: Spec) -> Spec:
    return floating(whole(a, b))


@elementwise(both_floating)
def logaddexp(x1: Expression, x2: Expression) -> Expression:
    """Return log(exp(x1) + exp(x2)), broadcast, without overflow."""
    apart = e.where(x1 == x2, 0, x1) - e.where(x1 == x2, 0, x2)  # 0 for equal infinities too
    return e.maximum(x1, x2) + e.log1p(e.exp(-e.absolute(apart)))


def _share(a: Tensor, b: Tensor) -> Tensor:
    """Return exp(a) / (exp(a) + exp(b)), 1/2 for two equal infinities."""
    return sigmoid(where(equal(a, b), 0.0, a - b))


logaddexp.vjp(x1=lambda g, y, a, b: g * _share(a, b), x2=lambda g, y, a, b: g * _share(b, a))


@elementwise(both_floating)
def logaddexp2(x1: Expression, x2: Expression) -> Expression:
    """Return log2(2**x1 + 2**x2), broadcast, without overflow."""
    apart = e.where(x1 == x2, 0, x1) - e.where(x1 == x2, 0, x2)
    return e.maximum(x1, x2) + e.log1p(e.exp(-e.absolute(apart) * _LOG_2)) / _LOG_2


logaddexp2.vjp(
    x1=lambda g, y, a, b: g * _share(a * _LOG_2, b * _LOG_2), x2=lambda g, y, a, b: g * _share(b * _LOG_2, a * _LOG_2)
)


@elementwise(floating)
def exp2(x: Expression) -> Expression:
    """Return 2 ** x."""
    return e.number(2) ** x


exp2.vjp(x=lambda g, y, x: g * y * _LOG_2)


@elementwise(floating)
def deg2rad(x: Expression) -> Expression:
    """Return an angle in radians from one in degrees."""
    return x * (np.pi / 180)


@elementwise(floating)
def rad2deg(x: Expression) -> Expression:
    """Return an angle in degrees from one in radians."""
    return x * (180 / np.pi)


deg2rad.vjp(x=lambda g, y, x: deg2rad(g))
rad2deg.vjp(x=lambda g, y, x: rad2deg(g))


@elementwise(floating)
def sinc(x: Expression) -> Expression:
    """Return sin(pi * x) / (pi * x), 1 at 0."""
    angle = e.where(x == 0, 1, x * np.pi)
    return e.where(x == 0, 1, e.sin(angle) / angle)


def _slope_of_sinc(x: Tensor, y: Tensor) -> Tensor:
    """Return (cos(pi * x) - sinc(x)) / x, near 0 from its series, where that loses all digits."""
    near = absolute(x) < 0.1
    square = x * x * np.pi**2
    series = x * (-(np.pi**2) / 3) * (1 - square / 10 * (1 - square / 28 * (1 - square / 54)))
    return where(near, series, (cos(x * np.pi) - y) / where(near, 1.0, x))


sinc.vjp(x=lambda g, y, x: g * _slope_of_sinc(x, y))
