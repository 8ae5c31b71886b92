"""Elementwise powers, exponentials, logarithms, sine and cosine."""

from __future__ import annotations

import numpy as np

from gpudl.engine.spec import Spec
from gpudl.engine.tensor import Tensor
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.activation import sigmoid
from gpudl.ops.primitives.declare import elementwise
from gpudl.ops.primitives.elementwise import floating, where, whole
from gpudl.ops.primitives.logic import equal

__all__ = ["cos", "erf", "exp", "expm1", "log", "log1p", "logaddexp", "power", "sin", "sqrt"]


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


def _both_floating(a: Spec, b: Spec) -> Spec:
    return floating(whole(a, b))


@elementwise(_both_floating)
def logaddexp(x1: Expression, x2: Expression) -> Expression:
    """Return log(exp(x1) + exp(x2)), broadcast, without overflow."""
    apart = e.where(x1 == x2, 0, x1) - e.where(x1 == x2, 0, x2)  # 0 for equal infinities too
    return e.maximum(x1, x2) + e.log1p(e.exp(-e.absolute(apart)))


def _share(a: Tensor, b: Tensor) -> Tensor:
    """Return exp(a) / (exp(a) + exp(b)), 1/2 for two equal infinities."""
    return sigmoid(where(equal(a, b), 0.0, a - b))


logaddexp.vjp(x1=lambda g, y, a, b: g * _share(a, b), x2=lambda g, y, a, b: g * _share(b, a))
