"""Sums along adjacent axes, accumulated in float64, and the argmax of rows.

A sum of few elements, or of short rows, is computed in one pass. In all other cases the array is viewed as groups of
rows, (O, R, C), and summed down the rows; where C is 1, contiguous elements are viewed as rows of `_RUN`. How the work
is split depends on the shapes alone, and the partial sums are added in order: the result is bitwise the same for any
number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.core.typing.templates import Signature
from numpy import ndarray

from ..geometry import Group, Ints, along, stretched
from ..registry import accelerates, floats, is_floating
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.tile import address
from .machine.vectors import Context, cgutils, intrinsic
from .machine.windows import column_sums

Axis = int | Ints | None

_SMALL = 1 << 13
"""Elements up to which a sum is faster here; beyond, NumPy's vector instructions outweigh the overhead of its call."""

_SHORT = 32  # elements of a row; NumPy's overhead per row outweighs them

_SINGLE = 4  # bytes of a float32
_RUN = 64
_WIDE = 512  # columns that are summed at a time
_UNITS = 64  # units of work, where there are enough rows
_LEAST = 1 << 14  # elements of a unit at least
_NEAR = 1 << 14  # elements whose rows are summed before the next ones: they stay in the second-level cache


def _is_small(out: ndarray, x: ndarray, *, axis: Axis = None, keepdims: bool = False) -> bool:
    """Accept floats, and all axes or the last one: the summed elements are then contiguous."""
    if not floats(out, x) or not (x.size <= _SMALL or x.shape[-1] <= _SHORT):
        return False
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    summed = {a % x.ndim for a in axes} if x.ndim else set()
    return len(summed) == x.ndim or summed == {x.ndim - 1}


@intrinsic
def _row_sum(context, x, count):  # type: ignore[no-untyped-def]
    # The sum of `count` floats at the address x: four sums of float64 in a vector, those after the last four in the
    # first. Numba's loop over them takes four times as long.
    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        i64, i32, real, double = ir.IntType(64), ir.IntType(32), ir.FloatType(), ir.DoubleType()
        four, pointer = ir.VectorType(double, 4), builder.inttoptr(arguments[0], real.as_pointer())
        lanes = cgutils.alloca_once_value(builder, ir.Constant(four, [0.0] * 4))
        whole = builder.lshr(arguments[1], i64(2))
        with cgutils.for_range(builder, whole, intp=i64) as loop:
            at = builder.gep(pointer, [builder.shl(loop.index, i64(2))])
            floats = builder.load(builder.bitcast(at, ir.VectorType(real, 4).as_pointer()), align=4)
            builder.store(builder.fadd(builder.load(lanes), builder.fpext(floats, four)), lanes)
        a, b, c, d = (builder.extract_element(builder.load(lanes), i32(lane)) for lane in range(4))
        first = cgutils.alloca_once_value(builder, a)
        with cgutils.for_range(builder, builder.and_(arguments[1], i64(3)), intp=i64) as loop:
            at = builder.add(builder.shl(whole, i64(2)), loop.index)
            rest = builder.fpext(builder.load(builder.gep(pointer, [at])), double)
            builder.store(builder.fadd(builder.load(first), rest), first)
        return builder.fadd(builder.fadd(builder.load(first), b), builder.fadd(c, d))

    return types.float64(types.int64, types.int64), codegen


@ParallelLoop
def _few_sums(worker, workers, out, x, length):  # type: ignore[no-untyped-def]
    # x flat, rows of `length` -> out (R,); four independent sums of float64 at a time, for instruction-level
    # parallelism
    for r in share(len(out), worker, workers):
        if x.itemsize == _SINGLE:
            out[r] = _row_sum(address(x) + _SINGLE * r * length, length)
            continue
        first, last = np.uintp(r * length), np.uintp((r + 1) * length)
        whole = last - np.uintp(length % 4)
        a = b = c = d = 0.0
        for k in range(first, whole, np.uintp(4)):
            a, b = a + x[k], b + x[k + np.uintp(1)]
            c, d = c + x[k + np.uintp(2)], d + x[k + np.uintp(3)]
        for k in range(whole, last):
            a += x[k]
        out[r] = (a + b) + (c + d)


@accelerates("sum", device="cpu", supports=_is_small, first=True)
def sum_few(out: ndarray, x: ndarray, *, axis: Axis = None, keepdims: bool = False) -> None:
    """Sum all elements, or those along the last axis: x (..., C) -> out (...), with or without the summed axes.

    The order of summation depends on the shape alone. Float32 is accumulated in float64.

    Example:
        >>> out = np.empty(2)
        >>> sum_few(out, np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), axis=-1)
        >>> out
        array([ 6., 15.])
    """
    _few_sums(x.size, out.reshape(-1), x.reshape(-1), x.size // max(out.size, 1))


@ParallelLoop
def _sums(worker, workers, parts, x, group, rows, step, wide):  # type: ignore[no-untyped-def]
    # x flat, groups of `group` elements, of each the first `rows` * C are summed -> parts (P, O, C) of `step` rows
    groups, c = parts.shape[1:]
    tiles = (c + wide - 1) // wide
    for unit in share(len(parts) * groups * tiles, worker, workers):
        column, o, p = unit % tiles * wide, unit // tiles % groups, unit // tiles // groups
        count, low, high = min(wide, c - column), p * step, min((p + 1) * step, rows)
        near = max(_NEAR // count, 1)
        to = address(parts) + 8 * ((p * groups + o) * c + column)
        for r in range(low, high, near):
            at = address(x) + 4 * (o * group + r * c + column)
            column_sums(at, min(near, high - r), c, count, to, 1 if r > low else 0)


@ParallelLoop
def _runs(worker, workers, out, parts, x, group):  # type: ignore[no-untyped-def]
    # parts (P, O, run), x flat, groups of `group` elements, of which those after the last whole run are in no part
    run = parts.shape[2]
    for o in share(len(out), worker, workers):
        value = 0.0
        for p in range(len(parts)):
            for k in range(run):
                value += parts[p, o, k]
        for k in range(o * group + group // run * run, (o + 1) * group):
            value += x[k]
        out[o] = value


@ParallelLoop
def total(worker, workers, out, parts):  # type: ignore[no-untyped-def]
    """Add up parts (P, K) in order, in float64: out (K,)."""
    for k in share(len(out), worker, workers):
        value = 0.0
        for p in range(len(parts)):
            value += parts[p, k]
        out[k] = value


def down(out: ndarray, x: ndarray, group: Group, parts: int = 0) -> None:
    """Sum x (O, R, C) along R: out (O, C), in `parts` equal parts of the rows, or, if 0, in as many as are useful."""
    groups, rows, columns = group
    flat, c = x.reshape(-1), _RUN if columns == 1 else columns
    whole = rows // c if columns == 1 else rows
    wide = min(c, _WIDE)
    tiles = groups * -(-c // wide)
    wanted = parts or max(1, min(_UNITS // tiles, whole * wide // _LEAST, whole))
    step = max(-(-whole // wanted), 1)
    sums = scratch(-(-whole // step), groups, c, dtype=np.float64)
    _sums(x.size, sums, flat, rows * columns, whole, step, wide)
    if columns == 1:
        _runs(sums.size, out.reshape(-1), sums, flat, rows)
    else:
        total(sums.size, out.reshape(-1), sums.reshape(len(sums), -1))


def _single(out: ndarray, x: ndarray, group: Group | None) -> bool:
    return group is not None and out.dtype == np.float32 and floats(out, x)


def _supports(out: ndarray, x: ndarray, *, axis: Axis = None, keepdims: bool = False) -> bool:
    return _single(out, x, along(x.shape, axis))


@accelerates("sum", device="cpu", supports=_supports)
def sum(out: ndarray, x: ndarray, *, axis: Axis = None, keepdims: bool = False) -> None:
    """Sum x along adjacent axes, with or without these in out."""
    down(out, x, along(x.shape, axis))  # type: ignore[arg-type]  # `supports` has checked


def _narrows(out: ndarray, x: ndarray, *, shape: Ints) -> bool:
    return _single(out, x, stretched(x.shape, shape))


@accelerates("sum_to", device="cpu", supports=_narrows)
def sum_to(out: ndarray, x: ndarray, *, shape: Ints) -> None:
    """Sum x over the adjacent axes along which `shape` is broadcast to it.

    For the bias of images, each image is summed separately, in the order of the fused kernels.
    """
    biased = len(x.shape) > 2 and tuple(shape) == x.shape[-1:]
    down(out, x, stretched(x.shape, shape), len(x) if biased else 0)  # type: ignore[arg-type]  # `supports` has checked


def _last_axis(out: ndarray, x: ndarray, *, axis: int) -> bool:
    return is_floating(x.dtype) and floats(out, x) and axis in (-1, x.ndim - 1)


@ParallelLoop
def _argmax(worker, workers, out, x, length):  # type: ignore[no-untyped-def]
    # x flat, rows of `length` -> out (R,); without a branch for each new maximum, which would be mispredicted
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


@accelerates("argmax", device="cpu", supports=_last_axis)
def argmax(out: ndarray, x: ndarray, *, axis: int) -> None:
    """Find the first maximum along the last axis, or the first NaN: x (..., C) -> out (...), int32."""
    _argmax(x.size, out.reshape(-1), x.reshape(-1), x.shape[-1])
