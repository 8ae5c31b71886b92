"""Special functions that neither NumPy nor CuPy has: of the error function, and Bessel functions."""

from __future__ import annotations

import math
from types import ModuleType

from gpudl.backend import Array
from gpudl.engine.op import Op
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives import erf as error_functions
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import floating, square, where
from gpudl.ops.primitives.exponential import exp

__all__ = [
    "erfc",
    "erfinv",
    "i0",
]

_SLOPE = 2 / math.pi**0.5  # of erf at 0


@op(floating)
def erfc(xp: ModuleType, out: Array, x: Array) -> None:
    """Return 1 - erf(x), accurate where erf is nearly 1."""
    out[...] = error_functions.erfc(xp, x.astype(out.dtype))


@op(floating)
def erfinv(xp: ModuleType, out: Array, x: Array) -> None:
    """Return the number whose error function is x."""
    out[...] = error_functions.erfinv(xp, x.astype(out.dtype))


erfc.vjp(x=lambda g, y, x: g * (exp(-square(x)) * -_SLOPE))
erfinv.vjp(x=lambda g, y, x: g * (exp(square(y)) / _SLOPE))


def _bessel(xp: ModuleType, x: Array, order: int) -> Array:
    """Return the modified Bessel function of the first kind and of order 0 or 1, in float64.

    Its series of positive terms loses no digits, but is long for large x, for which it is asymptotic to another one.

    Source: Abramowitz and Stegun, "Handbook of mathematical functions", 9.6.10 and 9.7.1.
    """
    size = xp.absolute(x.astype("float64"))
    quarter = xp.minimum(size, 30.0) ** 2 / 4
    term = xp.ones_like(size)
    near = xp.ones_like(size)
    for k in range(1, 70):
        term = term * (quarter / (k * (k + order)))
        near = near + term
    far = xp.clip(size, 30.0, 1400.0)  # from where it is infinite in any float
    term = xp.ones_like(size)
    tail = xp.ones_like(size)
    for k in range(1, 16):
        term = term * (((2 * k - 1) ** 2 - 4 * order**2) / (k * 8.0)) / far
        tail = tail + term
    beyond = xp.exp(far / 2) * (tail / xp.sqrt(2 * math.pi * far)) * xp.exp(far / 2)
    result = xp.where(size <= 30, near * (size / 2) ** order, beyond)
    return result * xp.sign(x) if order else result


def _made(order: int) -> Op[Tensor]:
    def forward(xp: ModuleType, out: Array, x: Array) -> None:
        out[...] = _bessel(xp, x, order)

    forward.__name__ = f"i{order}"
    forward.__doc__ = f"Return the modified Bessel function of the first kind and of order {order}."
    return op(floating)(forward)


i0, i1 = _made(0), _made(1)


def _slope_of_i1(x: Tensor, y: Tensor) -> Tensor:
    """Return i0(x) - i1(x) / x, which is 1/2 at 0."""
    return where(x == 0, 0.5, i0(x) - y / where(x == 0, 1.0, x))


i0.vjp(x=lambda g, y, x: g * i1(x))
i1.vjp(x=lambda g, y, x: g * _slope_of_i1(x, y))
