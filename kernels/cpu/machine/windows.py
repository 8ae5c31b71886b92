"""Maxima of windows inside their image, and their gradient, a vector of channels at a time.

Offsets of taps are in floats from the first pixel of a window, in a table of int64; addresses are integers (see
`tile`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import njit, types
from numba.core.typing.templates import Signature

from .tile import Address
from .vectors import LANES, Context, Vectors, cgutils, intrinsic, over_lanes


def _largest(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
    first, apart, count, table, taps, y, tap, channels = arguments

    def body(ops: Vectors, x: Value, at: Value, offset: Value, masked: bool) -> None:
        whole = ir.VectorType(ops.i32, LANES)

        def seen(number: Value) -> Value:
            return ops.load(builder.gep(x, [builder.add(ops.integer(table, number), offset)]), 0, masked)

        best = cgutils.alloca_once_value(builder, seen(ops.i64(0)))
        index = cgutils.alloca_once_value(builder, ir.Constant(whole, [0] * LANES))
        with cgutils.for_range(builder, builder.sub(taps, ops.i64(1)), intp=ops.i64) as loop:
            number = builder.add(loop.index, ops.i64(1))
            which = ops.spread(builder.trunc(number, ops.i32), whole)
            larger, winner = ops.larger(builder.load(best), builder.load(index), seen(number), which)
            builder.store(larger, best)
            builder.store(winner, index)
        ops.store(builder.load(best), builder.gep(ops.floats(y), [at]), 0, masked)
        ops.store_counts(builder.load(index), tap, at, masked)

    _over_row(builder, first, apart, count, channels, body)
    return context.get_dummy_value()


def _spread(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
    first, apart, count, table, taps, g, tap, y, channels = arguments

    def body(ops: Vectors, x: Value, at: Value, offset: Value, masked: bool) -> None:
        value = cgutils.alloca_once_value(builder, ops.load(builder.gep(ops.floats(g), [at]), 0, masked))
        with builder.if_then(builder.icmp_signed("!=", y, ops.i64(0))):
            after = ops.load(builder.gep(ops.floats(y), [at]), 0, masked)
            one = ir.Constant(ops.kind, [1.0] * LANES)
            slope = builder.select(builder.fcmp_ordered(">", after, ops.zero), one, ops.zero)
            builder.store(builder.fmul(builder.load(value), slope), value)
        gradient, index = builder.load(value), ops.counts(tap, at, masked)
        with cgutils.for_range(builder, taps, intp=ops.i64) as loop:
            which = ops.spread(builder.trunc(loop.index, ops.i32), ir.VectorType(ops.i32, LANES))
            won = builder.icmp_signed("==", index, which)
            to = builder.gep(x, [builder.add(ops.integer(table, loop.index), offset)])
            ops.store(builder.select(won, gradient, ops.zero), to, 0, masked)

    _over_row(builder, first, apart, count, channels, body)
    return context.get_dummy_value()


def _over_row(
    builder: IRBuilder, first: Value, apart: Value, count: Value, channels: Value, body: Callable[..., None]
) -> None:
    """Emit `body(ops, window, offset in its row, offset in the window, masked)` for each vector of each window."""
    i64 = ir.IntType(64)
    with cgutils.for_range(builder, count, intp=i64) as loop:
        skipped = builder.mul(loop.index, builder.mul(apart, i64(4)))
        window = builder.inttoptr(builder.add(first, skipped), ir.FloatType().as_pointer())
        start = builder.mul(loop.index, channels)

        def one(ops: Vectors, offset: Value, masked: bool) -> None:
            body(ops, window, builder.add(start, offset), offset, masked)

        over_lanes(builder, channels, one)


def _sums(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
    x, rows, apart, channels, out, adds = arguments

    def body(ops: Vectors, offset: Value, masked: bool) -> None:
        many = ir.VectorType(ir.DoubleType(), LANES)
        to = builder.gep(builder.inttoptr(out, ir.DoubleType().as_pointer()), [offset])
        total = cgutils.alloca_once_value(builder, ir.Constant(many, [0.0] * LANES))
        with builder.if_then(builder.icmp_signed("!=", adds, ops.i64(0))):
            builder.store(ops.load_doubles(to, masked), total)
        with cgutils.for_range(builder, rows, intp=ops.i64) as loop:
            at = builder.add(builder.mul(loop.index, apart), offset)
            value = ops.load(builder.gep(ops.floats(x), [at]), 0, masked)
            builder.store(builder.fadd(builder.load(total), builder.fpext(value, many)), total)
        ops.store_doubles(builder.load(total), to, masked)

    over_lanes(builder, channels, body)
    return context.get_dummy_value()


@intrinsic
def _largest_of(context, x, apart, count, table, taps, y, tap, channels):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 8), _largest


@intrinsic
def _spread_to(context, x, apart, count, table, taps, g, tap, y, channels):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 9), _spread


@intrinsic
def _sums_of(context, x, rows, apart, channels, out, adds):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 6), _sums


@njit(nogil=True)
def largest(
    x: Address, apart: int, count: int, table: Address, taps: int, y: Address, tap: Address, channels: int
) -> None:
    """Write the maxima of `count` windows to `y`, and the index of the first tap that has each to bytes at `tap`.

    The first window begins at `x`, and each of the others `apart` floats after the one before.
    """
    _largest_of(x, apart, count, table, taps, y, tap, channels)


@njit(nogil=True)
def spread(
    x: Address, apart: int, count: int, table: Address, taps: int, g: Address, tap: Address, y: Address, channels: int
) -> None:
    """Write the gradients at `g` to the taps of the maxima of windows laid out as in `largest`, and 0 to the others.

    If `y`, the address of the maxima after a ReLU, is not 0, the gradient of the ReLU is applied first.
    """
    _spread_to(x, apart, count, table, taps, g, tap, y, channels)


@njit(nogil=True)
def column_sums(x: Address, rows: int, apart: int, channels: int, out: Address, adds: int) -> None:
    """Write the sums over `rows` rows of `channels` floats at `x` to `out` in float64, each in the order of the rows.

    Each row begins `apart` floats after the one before. With `adds` 1 the sums are added to `out`, with 0 they
    overwrite it.
    """
    _sums_of(x, rows, apart, channels, out, adds)
