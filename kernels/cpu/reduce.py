"""The reductions of a step's end: sums over all elements or the last axis, and where the maximum of a row is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import accelerates, floats, is_floating
from .machine.prebound import Kernel, share

Axis = int | tuple[int, ...] | None


_SMALL = 1 << 13
"""Elements up to which a sum is faster here; from there on NumPy's vector instructions outweigh what its call costs."""

_SHORT = 32  # elements of a row; NumPy's cost for each row counts more


def _is_small(out: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> bool:
    """Accept floats, and all axes or the last one: what is summed is then a run of memory."""
    if not floats(out, x) or not (x.size <= _SMALL or x.shape[-1] <= _SHORT):
        return False
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    summed = {a % x.ndim for a in axes} if x.ndim else set()
    return len(summed) == x.ndim or summed == {x.ndim - 1}


@Kernel
def _sum(worker, workers, out, x, length):  # type: ignore[no-untyped-def]
    # x flat, rows of `length` -> out (R,); four sums of float64 at a time, which do not wait for each other
    for r in share(len(out), worker, workers):
        first, last = np.uintp(r * length), np.uintp((r + 1) * length)
        whole = last - np.uintp(length % 4)
        a = b = c = d = 0.0
        for k in range(first, whole, np.uintp(4)):
            a, b = a + x[k], b + x[k + np.uintp(1)]
            c, d = c + x[k + np.uintp(2)], d + x[k + np.uintp(3)]
        for k in range(whole, last):
            a += x[k]
        out[r] = (a + b) + (c + d)


@accelerates("sum", device="cpu", takes=_is_small, first=True)
def sum(out: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> None:
    """Sum all elements, or those along the last axis: x (..., C) -> out (...), with or without the summed axes.

    The order depends on the shape alone. Float32 is added up in float64.

    Example:
        >>> out = np.empty(2)
        >>> sum(out, np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), axis=-1)
        >>> out
        array([ 6., 15.])
    """
    _sum(x.size, out.reshape(-1), x.reshape(-1), x.size // max(out.size, 1))


def _last_axis(out: Any, x: Any, *, axis: int) -> bool:
    return is_floating(x.dtype) and floats(out, x) and axis in (-1, x.ndim - 1)


@Kernel
def _argmax(worker, workers, out, x, length):  # type: ignore[no-untyped-def]
    # x flat, rows of `length` -> out (R,); without a jump for each new maximum, which none could foresee
    for r in share(len(out), worker, workers):
        first = r * length
        best, at, strange = x[first], 0, False
        for k in range(length):
            value = x[first + k]
            larger = value > best
            best = value if larger else best
            at = k if larger else at
            strange |= value != value
        if strange:
            at = 0
            while x[first + at] == x[first + at]:
                at += 1
        out[r] = at


@accelerates("argmax", device="cpu", takes=_last_axis)
def argmax(out: Any, x: Any, *, axis: int) -> None:
    """Find the first maximum along the last axis, or the first NaN: x (..., C) -> out (...), int32."""
    _argmax(x.size, out.reshape(-1), x.reshape(-1), x.shape[-1])
