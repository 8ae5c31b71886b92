"""Whole and fractional numbers, real and imaginary parts, and second names, with Keras's arguments and dtypes."""

from __future__ import annotations

import math
from operator import index

from gpudl.engine.convert import operand
from gpudl.engine.spec import FLOAT32, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.checks import isnan
from gpudl.ops.numpy.complex_parts import absolute, both, of_both
from gpudl.ops.primitives import library, logic
from gpudl.ops.primitives.elementwise import cast, cast_like, where, zeros_like

__all__ = [
    "abs",
    "absolute",
    "angle",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "conj",
    "conjugate",
    "fabs",
    "imag",
    "real",
    "round",
    "trunc",
]

abs, bitwise_invert = absolute, logic.bitwise_not
bitwise_left_shift, bitwise_right_shift = logic.left_shift, logic.right_shift


def fabs(x: TensorLike) -> Tensor:
    """Return |x|; integers become floats.

    Example:
        >>> fabs([-1, 2]).numpy()
        array([1., 2.], dtype=float32)
    """
    x = operand(x)
    return absolute(x if is_floating(x.dtype) else cast(x, dtype=FLOAT32))


def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """Return x rounded to a number of decimals, halves to the even digit.

    Raises:
        ShapeError: x is of bools; or of integers, with decimals before the point.

    Example:
        >>> round([0.5, 1.5, -1.25]).numpy(), round([1.25], decimals=1).numpy()
        (array([ 0.,  2., -1.], dtype=float32), array([1.2], dtype=float32))
    """
    x, decimals = operand(x), index(decimals)
    return x if x.dtype.kind in "iu" and decimals >= 0 else library.round(x, decimals=decimals)


def trunc(x: TensorLike) -> Tensor:
    """Return x without the digits after the point.

    Example:
        >>> trunc([1.7, -1.7]).numpy()
        array([ 1., -1.], dtype=float32)
    """
    x = operand(x)
    return library.trunc(x) if is_floating(x.dtype) else x


def real(x: TensorLike) -> Tensor:
    """Return the real part of x: x itself, if it is real.

    Example:
        >>> real([1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
    """
    x = operand(x)
    return both(x)[0] if x.dtype.kind == "c" else x


def imag(x: TensorLike) -> Tensor:
    """Return the imaginary part of x: zeros, if it is real.

    Example:
        >>> imag([1.0, 2.0]).numpy()
        array([0., 0.], dtype=float32)
    """
    x = operand(x)
    return both(x)[1] if x.dtype.kind == "c" else zeros_like(x)


def conj(x: TensorLike) -> Tensor:
    """Return the complex conjugate of x: x itself, if it is real.

    Example:
        >>> conj([1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
    """
    x = operand(x)
    if x.dtype.kind != "c":
        return x
    own, other = both(x)
    return of_both(own, -other, x.dtype)


conjugate = conj


def angle(x: TensorLike) -> Tensor:
    """Return the angle of x in the complex plane: pi for negative numbers, and -0, and 0 for others.

    Example:
        >>> angle([1.0, -2.0]).numpy().round(3)
        array([0.   , 3.142], dtype=float32)
    """
    x = operand(x)
    if x.dtype.kind == "c":
        return library.arctan2(*reversed(both(x)))
    x = x if is_floating(x.dtype) else cast(x, dtype=FLOAT32)
    return where(isnan(x), x, cast_like(where(library.signbit(x), math.pi, 0.0), x))
