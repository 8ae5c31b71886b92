"""Medians, quantiles and percentiles, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

import math

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import FLOAT32, is_half
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import moveaxis
from gpudl.ops.numpy.axes import Axis, plain
from gpudl.ops.numpy.checks import isnan
from gpudl.ops.numpy.reductions import any as any_of
from gpudl.ops.numpy.slices import take_along_axis
from gpudl.ops.numpy.sorting import sort
from gpudl.ops.numpy.statistics import floats
from gpudl.ops.primitives import library, reduce
from gpudl.ops.primitives.elementwise import cast, cast_like, maximum, where
from gpudl.ops.primitives.logic import logical_not
from gpudl.ops.primitives.reduce import axes_of, broadcast_to
from gpudl.ops.primitives.shape import in_order, reshape

__all__ = [
    "median",
    "nanmedian",
    "nanpercentile",
    "nanquantile",
    "percentile",
    "quantile",
]

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """Return the numbers below which fractions `q` of the elements along `axis` are.

    Args:
        x: a tensor; where it has NaN the result is NaN.
        q: fractions from 0 to 1, a number or a vector, whose axis is the first of the result.
        axis: the axes; None for all.
        method: how to choose between two elements: ``"linear"`` interpolation, ``"lower"``, ``"higher"``,
            ``"midpoint"`` or ``"nearest"``.
        keepdims: whether the axes remain, with size 1.

    Raises:
        ValueError: another method.

    Example:
        >>> quantile([4.0, 1.0, 3.0, 2.0], 0.5).item()
        2.5
    """
    return _quantile(x, q, axis, method, keepdims, False)


def percentile(
    x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return the numbers below which `q` percent of the elements along `axis` are, see `quantile`.

    Example:
        >>> percentile([4.0, 1.0, 3.0, 2.0], 50).item()
        2.5
    """
    return _quantile(x, operand(q) / 100.0, axis, method, keepdims, False)


def median(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the median along `axis`, by default of all elements: half of them are below.

    Example:
        >>> median([[4.0, 1.0, 3.0], [2.0, 8.0, 0.0]], axis=1).numpy()
        array([3., 2.], dtype=float32)
    """
    return _quantile(x, 0.5, axis, "linear", keepdims, False)


def nanquantile(
    x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return the numbers below which fractions `q` of what is not NaN are, see `quantile`.

    Example:
        >>> nanquantile([4.0, 1.0, float("nan"), 3.0, 2.0], 0.5).item()
        2.5
    """
    return _quantile(x, q, axis, method, keepdims, True)


def nanpercentile(
    x: TensorLike, q: TensorLike, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return the numbers below which `q` percent of what is not NaN are, see `quantile`.

    Example:
        >>> nanpercentile([4.0, 1.0, float("nan"), 3.0, 2.0], 50).item()
        2.5
    """
    return _quantile(x, operand(q) / 100.0, axis, method, keepdims, True)


def nanmedian(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the median along `axis` of what is not NaN.

    Example:
        >>> nanmedian([4.0, 1.0, float("nan"), 3.0]).item()
        3.0
    """
    return _quantile(x, 0.5, axis, "linear", keepdims, True)


def _quantile(x: TensorLike, q: TensorLike, axis: Axis, method: str, keepdims: bool, skip: bool) -> Tensor:
    if method not in _METHODS:
        raise ValueError(f"the method of a quantile must be one of {', '.join(_METHODS)}, got {method!r}.")
    x = floats(x)
    wide = cast(x, dtype=FLOAT32) if is_half(x.dtype) else x
    axes = axes_of(x.ndim, plain(axis))
    rest = [a for a in range(x.ndim) if a not in axes]
    rows = reshape(in_order(wide, (*rest, *axes)), (*(x.shape[a] for a in rest), -1))
    fractions = cast_like(operand(q, wide), wide)
    found = _of_rows(rows, reshape(fractions, -1), method, skip)
    if fractions.ndim:
        found = moveaxis(found, -1, 0)
    lead = fractions.shape
    kept = [1 if a in axes else n for a, n in enumerate(x.shape)] if keepdims else [x.shape[a] for a in rest]
    return cast_like(reshape(found, (*lead, *kept)), x)


def _of_rows(rows: Tensor, q: Tensor, method: str, skip: bool) -> Tensor:
    """Return quantiles along the last axis: (..., fractions)."""
    absent = isnan(rows)
    ordered = sort(where(absent, math.inf, rows))
    there = reduce.sum(logical_not(absent), axis=-1, keepdims=True)
    last = maximum(cast_like(there, rows) - 1.0, 0.0) if skip else float(rows.shape[-1] - 1)
    shape = (*rows.shape[:-1], q.size)
    place = broadcast_to(q * last, shape=shape)
    below, above = library.floor(place), library.ceil(place)
    low, high = (take_along_axis(ordered, cast(at, dtype=np.int32), -1) for at in (below, above))
    share = place - below
    if method == "nearest":
        found = where(library.round(place) == below, low, high)
    elif method == "linear":
        found = low * (1.0 - share) + high * share
    else:
        found = {"lower": low, "higher": high, "midpoint": (low + high) * 0.5}[method]
    gone = there == 0 if skip else any_of(absent, axis=-1, keepdims=True)
    return where(gone, math.nan, found)
