"""NumPy's reductions that leave NaN out, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

import math

from numpy.typing import DTypeLike

from gpudl.engine.convert import operand
from gpudl.engine.spec import FLOAT32, is_floating, is_half
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy import accumulation, reductions
from gpudl.ops.numpy.axes import Axis, plain
from gpudl.ops.numpy.checks import isnan
from gpudl.ops.numpy.statistics import floats
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.elementwise import cast, cast_like, square, where
from gpudl.ops.primitives.exponential import sqrt
from gpudl.ops.primitives.logic import logical_not

__all__ = [
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
]


def _filled(x: TensorLike, fill: float) -> Tensor:
    """Return x with another number in the place of NaN."""
    x = operand(x)
    return where(isnan(x), fill, x) if is_floating(x.dtype) else x


def nansum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the sum along `axis` of what is not NaN.

    Example:
        >>> nansum([1.0, float("nan"), 2.0]).item()
        3.0
    """
    return reductions.sum(_filled(x, 0.0), axis, keepdims)


def nanprod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the product along `axis` of what is not NaN.

    Example:
        >>> nanprod([4.0, float("nan"), 2.0]).item()
        8.0
    """
    return accumulation.prod(_filled(x, 1.0), axis, keepdims)


def nancumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the sums up to each element along `axis`, see `cumsum`; NaN counts as 0.

    Example:
        >>> nancumsum([1.0, float("nan"), 2.0]).numpy()
        array([1., 1., 3.], dtype=float32)
    """
    return accumulation.cumsum(_filled(x, 0.0), axis, dtype)


def nancumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the products up to each element along `axis`, see `cumprod`; NaN counts as 1.

    Example:
        >>> nancumprod([4.0, float("nan"), 2.0]).numpy()
        array([4., 4., 8.], dtype=float32)
    """
    return accumulation.cumprod(_filled(x, 1.0), axis, dtype)


def nanmax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the maximum along `axis` of what is not NaN; NaN where everything is.

    Example:
        >>> nanmax([1.0, float("nan"), 2.0]).item()
        2.0
    """
    return _extreme(x, axis, keepdims, 1)


def nanmin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the minimum along `axis` of what is not NaN; NaN where everything is.

    Example:
        >>> nanmin([1.0, float("nan"), 2.0]).item()
        1.0
    """
    return _extreme(x, axis, keepdims, -1)


def _extreme(x: TensorLike, axis: Axis, keepdims: bool, sign: int) -> Tensor:
    x = operand(x)
    found = (reductions.max if sign > 0 else reductions.min)(_filled(x, -sign * math.inf), axis, keepdims)
    return where(reductions.all(isnan(x), axis, keepdims), math.nan, found) if is_floating(x.dtype) else found


def nanmean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean along `axis` of what is not NaN; NaN where everything is.

    Example:
        >>> nanmean([1.0, float("nan"), 2.0]).item()
        1.5
    """
    x, along = floats(x), plain(axis)
    wide = cast(x, dtype=FLOAT32) if is_half(x.dtype) else x
    return cast_like(_mean(wide, logical_not(isnan(x)), along, bool(keepdims)), x)


def _mean(x: Tensor, there: Tensor, axis: int | tuple[int, ...] | None, keepdims: bool) -> Tensor:
    total = reduce.sum(where(there, x, 0.0), axis=axis, keepdims=keepdims)
    count = cast_like(reduce.sum(there, axis=axis, keepdims=keepdims), x)
    return where(count > 0, total / where(count > 0, count, 1.0), math.nan)


def nanvar(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the variance along `axis` of what is not NaN; NaN where everything is.

    Example:
        >>> nanvar([1.0, float("nan"), 3.0]).item()
        1.0
    """
    x, along = floats(x), plain(axis)
    wide, there = (cast(x, dtype=FLOAT32) if is_half(x.dtype) else x), logical_not(isnan(x))
    apart = wide - _mean(wide, there, along, True)
    return cast_like(_mean(square(apart), there, along, bool(keepdims)), x)


def nanstd(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the standard deviation along `axis` of what is not NaN, the square root of `nanvar`.

    Example:
        >>> nanstd([1.0, float("nan"), 3.0]).item()
        1.0
    """
    return sqrt(nanvar(x, axis, keepdims))
