"""GELU by the error function, and its gradient: one pass each, where the ops that they consist of take eight."""

from __future__ import annotations

from math import pi, sqrt

from gpudl.engine import cost
from gpudl.engine.spec import ShapeError, Spec, promote
from gpudl.engine.tensor import Tensor
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.declare import elementwise
from gpudl.ops.primitives.elementwise import floating
from gpudl.ops.primitives.exponential import exp

_DENSITY = 1 / sqrt(2 * pi)


def _slope(g: Spec, x: Spec) -> Spec:
    if g.shape != x.shape:
        raise ShapeError("gradient and input of an activation must have the same shape.")
    return floating(Spec(x.shape, promote(g.dtype, x.dtype)))


@elementwise(floating, flops=cost.per_output(8))
def gelu(x: Expression) -> Expression:
    """Return x * P(X <= x) for a standard normal X.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    return (e.erf(x * sqrt(0.5)) + 1) * x * 0.5


@elementwise(_slope, flops=cost.per_output(16))
def gelu_grad(g: Expression, x: Expression) -> Expression:
    """Return the gradient of `gelu` with respect to x from that of its result, g."""
    return ((e.erf(x * sqrt(0.5)) + 1) * 0.5 + e.exp(x * x * -0.5) * x * _DENSITY) * g


def _of_slope(gg: Tensor, g: Tensor, x: Tensor) -> Tensor:
    """Return gg * g times the second derivative of `gelu`."""
    curvature: Tensor = gg * g * (2.0 - x * x) * exp(x * x * -0.5) * _DENSITY
    return curvature


gelu.vjp(x=lambda g, y, x: gelu_grad(g, x))
gelu_grad.vjp(g=lambda gg, y, g, x: gelu_grad(gg, x), x=lambda gg, y, g, x: _of_slope(gg, g, x))
