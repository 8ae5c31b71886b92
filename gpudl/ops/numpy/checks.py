"""What numbers are: finite, infinite, no number, close to others, with Keras's arguments and dtypes."""

from __future__ import annotations

import math

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import FLOAT32, is_floating, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.complex_parts import absolute, both
from gpudl.ops.numpy.reductions import all as all_of
from gpudl.ops.primitives import logic
from gpudl.ops.primitives.elementwise import cast, where

__all__ = [
    "allclose",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "nan_to_num",
]


def isnan(x: TensorLike) -> Tensor:
    """Return, as bool, where x is not a number.

    Example:
        >>> isnan([1.0, float("nan")]).numpy()
        array([False,  True])
    """
    x = operand(x)
    return logic.not_equal(x, x)


def isfinite(x: TensorLike) -> Tensor:
    """Return, as bool, where x is neither infinite nor NaN.

    Example:
        >>> isfinite([1.0, float("inf")]).numpy()
        array([ True, False])
    """
    x = operand(x)
    return logic.less(absolute(x), math.inf) if x.dtype.kind == "c" or is_floating(x.dtype) else logic.equal(x, x)


def isinf(x: TensorLike) -> Tensor:
    """Return, as bool, where x is infinite.

    Example:
        >>> isinf([1.0, -float("inf")]).numpy()
        array([False,  True])
    """
    x = operand(x)
    return logic.equal(absolute(x), math.inf) if x.dtype.kind == "c" or is_floating(x.dtype) else logic.not_equal(x, x)


def isposinf(x: TensorLike) -> Tensor:
    """Return, as bool, where x is infinite and positive.

    Example:
        >>> isposinf([float("inf"), -float("inf")]).numpy()
        array([ True, False])
    """
    return _is(x, math.inf)


def isneginf(x: TensorLike) -> Tensor:
    """Return, as bool, where x is infinite and negative.

    Example:
        >>> isneginf([float("inf"), -float("inf")]).numpy()
        array([False,  True])
    """
    return _is(x, -math.inf)


def _is(x: TensorLike, limit: float) -> Tensor:
    x = operand(x)
    return logic.equal(x, limit) if is_floating(x.dtype) else logic.not_equal(x, x)


def isreal(x: TensorLike) -> Tensor:
    """Return, as bool, where x has no imaginary part: everywhere, for numbers that have none.

    Example:
        >>> isreal([1.0, 2.0]).numpy()
        array([ True,  True])
    """
    x = operand(x)
    if x.dtype.kind == "c":
        return logic.equal(both(x)[1], 0)
    return logic.logical_or(logic.equal(x, x), True)


def isclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Return, as bool, where x1 is equal to x2, or differs by at most atol + rtol * abs(x2).

    Args:
        x1: a tensor.
        x2: a tensor that broadcasts with it.
        rtol: how large the difference may be, as a fraction of x2.
        atol: how large it may be in addition.
        equal_nan: whether NaN is close to NaN.

    Example:
        >>> isclose([1.0, 1.0], [1.000001, 1.1]).numpy()
        array([ True, False])
    """
    a, b = operand(x1), operand(x2)
    dtype = promote(a.dtype, b.dtype)
    dtype = dtype if is_floating(dtype) else FLOAT32
    a, b = cast(a, dtype=dtype), cast(b, dtype=dtype)
    same = logic.equal(a, b)
    apart = absolute(where(same, 0.0, a) - where(same, 0.0, b))  # infinities are not subtracted
    near = logic.logical_and(isfinite(b), logic.less_equal(apart, absolute(b) * rtol + atol))
    found = logic.logical_or(same, near)
    return logic.logical_or(found, logic.logical_and(isnan(a), isnan(b))) if equal_nan else found


def allclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Return, as bool, whether all elements of x1 are close to those of x2, see `isclose`.

    Example:
        >>> bool(allclose([1.0, 2.0], [1.0, 2.000001]))
        True
    """
    return all_of(isclose(x1, x2, rtol, atol, equal_nan))


def nan_to_num(x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Return x with other numbers in the place of NaN and of infinities.

    Args:
        x: a tensor.
        nan: what NaN becomes.
        posinf: what the positive infinity becomes; None for the largest number of the dtype.
        neginf: what the negative infinity becomes; None for the smallest number of the dtype.

    Example:
        >>> nan_to_num([1.0, float("nan"), float("inf")], posinf=9.0).numpy()
        array([1., 0., 9.], dtype=float32)
    """
    x = operand(x)
    if not is_floating(x.dtype):
        return x
    largest = float(np.finfo(x.dtype).max) if x.dtype.kind == "f" else float.fromhex("0x1.fep127")
    y = where(isposinf(x), largest if posinf is None else posinf, x)
    y = where(isneginf(x), -largest if neginf is None else neginf, y)
    return where(isnan(x), nan, y)
