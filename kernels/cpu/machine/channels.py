"""Products of pixels with a filter of their channel: the inner loops of depthwise convolution, in vectors of channels.

A *run* says what one tap of the filters has to do with a row of pixels of one image and a row of another: it is four
integers in a table, the offset of the first pixel in the one row, that in the other image, how many pixels there are,
and the offset of the tap. Offsets are in floats, addresses are integers (see `tile`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite.ir import IRBuilder, Value
from numba import njit, types
from numba.core.typing.templates import Signature

from .tile import Address
from .vectors import Context, Vectors, cgutils, intrinsic, over_lanes

RUN = 4
"""Integers of a run."""
_CHAINS = 4  # sums at a time, since each addition waits for the one before


def _each_run(ops: Vectors, table: Value, runs: Value, body: Callable[[Value, Value, Value, Value], None]) -> None:
    """Emit `body` for each run of a table."""
    builder = ops.builder
    with cgutils.for_range(builder, runs, intp=ops.i64) as loop:
        at = builder.mul(loop.index, ops.i64(RUN))
        body(*(ops.integer(table, builder.add(at, ops.i64(place))) for place in range(RUN)))


def _sum(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
    y, pixels, step_y, x, step_x, w, table, runs, channels = arguments

    def body(ops: Vectors, offset: Value, masked: bool) -> None:
        out, source, filters = (builder.gep(ops.floats(a), [offset]) for a in (y, x, w))
        with cgutils.for_range(builder, pixels, intp=ops.i64) as loop:
            ops.store(ops.zero, builder.gep(out, [builder.mul(loop.index, channels)]), 0, masked)

        def run(to: Value, at: Value, count: Value, tap: Value) -> None:
            factor = ops.load(builder.gep(filters, [tap]), 0, masked)
            sums, values = builder.gep(out, [to]), builder.gep(source, [at])
            with cgutils.for_range(builder, count, intp=ops.i64) as loop:
                here = builder.gep(sums, [builder.mul(loop.index, step_y)])
                value = ops.load(builder.gep(values, [builder.mul(loop.index, step_x)]), 0, masked)
                ops.store(ops.fma(value, factor, ops.load(here, 0, masked)), here, 0, masked)

        _each_run(ops, table, runs, run)

    over_lanes(builder, channels, body)
    return context.get_dummy_value()


def _dot(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
    dw, g, step_g, x, step_x, table, runs, channels = arguments

    def body(ops: Vectors, offset: Value, masked: bool) -> None:
        sums, left, right = (builder.gep(ops.floats(a), [offset]) for a in (dw, g, x))

        def run(first: Value, at: Value, count: Value, tap: Value) -> None:
            chains = [cgutils.alloca_once(builder, ops.kind) for _ in range(_CHAINS)]
            for chain in chains:
                builder.store(ops.zero, chain)
            one, other = builder.gep(left, [first]), builder.gep(right, [at])

            def add(index: Value, chain: Value) -> None:
                a = ops.load(builder.gep(one, [builder.mul(index, step_g)]), 0, masked)
                b = ops.load(builder.gep(other, [builder.mul(index, step_x)]), 0, masked)
                builder.store(ops.fma(a, b, builder.load(chain)), chain)

            whole = builder.udiv(count, ops.i64(_CHAINS))
            with cgutils.for_range(builder, whole, intp=ops.i64) as loop:
                begin = builder.mul(loop.index, ops.i64(_CHAINS))
                for number, chain in enumerate(chains):
                    add(builder.add(begin, ops.i64(number)), chain)
            done = builder.mul(whole, ops.i64(_CHAINS))
            with cgutils.for_range(builder, builder.sub(count, done), intp=ops.i64) as loop:
                add(builder.add(done, loop.index), chains[0])
            total = builder.load(chains[0])
            for chain in chains[1:]:
                total = builder.fadd(total, builder.load(chain))
            to = builder.gep(sums, [tap])
            ops.store(builder.fadd(ops.load(to, 0, masked), total), to, 0, masked)

        _each_run(ops, table, runs, run)

    over_lanes(builder, channels, body)
    return context.get_dummy_value()


@intrinsic
def _sum_of(context, y, pixels, step_y, x, step_x, w, table, runs, channels):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 9), _sum


@intrinsic
def _dot_of(context, dw, g, step_g, x, step_x, table, runs, channels):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 8), _dot


@njit(nogil=True)
def filtered(
    y: Address,
    pixels: int,
    step_y: int,
    x: Address,
    step_x: int,
    w: Address,
    table: Address,
    runs: int,
    channels: int,
) -> None:
    """Write a row of `pixels` pixels at `y`: the sum over runs of the pixels at `x` times the filters' tap at `w`.

    From pixel to pixel of a run are `step_y` floats in the row, and `step_x` in the other image.
    """
    _sum_of(y, pixels, step_y, x, step_x, w, table, runs, channels)


@njit(nogil=True)
def correlated(
    dw: Address, g: Address, step_g: int, x: Address, step_x: int, table: Address, runs: int, channels: int
) -> None:
    """Add, for each run, the products of the pixels at `g` and `x` to the tap at `dw`; steps as in `filtered`."""
    _dot_of(dw, g, step_g, x, step_x, table, runs, channels)
