"""A register-blocked matrix product whose left rows lie anywhere: the inner loop of every convolution.

In a channels-last image the window of an output pixel is already in memory, as runs of contiguous floats. A
product of windows and filters needs no copy of them, only addresses: row r of a tile begins at its own offset,
and step k of the product lies at an offset that all rows share. BLAS knows no such matrix; this tile does:

    C[crow[r] + v] (+)= sum over k of A[arow[r] + step[k]] * B[line[k] + v]     r < MR, v < NV * LANES

and then, where that is wanted, adds a bias to each column and cuts off what is negative, before anything is stored. It
is written in vector instructions of LLVM, so that MR * NV sums stay in registers (Goto and van de Geijn,
"Anatomy of high-performance matrix multiplication", ACM TOMS 2008).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .cache import address as compiled_address
from .threads import inner
from .vectors import LANES, REGISTERS, Vectors, cgutils, intrinsic

# Six rows of up to four vectors take 24 registers for the sums, and leave the addresses of the rows in registers
# too: with eight rows or more they spill, which was measured to cost a third.
ROWS = 6
WIDEST = 4 if REGISTERS == 32 else 2
PANEL = WIDEST * LANES


def _tile(height: int, vectors: int) -> Any:
    """Return a tile of `height` rows of `vectors` vectors as an intrinsic for Numba."""
    rows = range(height)
    cells = [(r, v) for v in range(vectors) for r in rows]

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, arow, step, line, depth, b, c, crow, last, adds, bias, positive = arguments
        ops = Vectors(builder, last)
        i64, final = ops.i64, vectors - 1
        sums = {cell: cgutils.alloca_once(builder, ops.kind) for cell in cells}
        left = [builder.gep(ops.floats(a), [ops.integer(arow, i64(r))]) for r in rows]
        outs = [builder.gep(ops.floats(c), [ops.integer(crow, i64(r))]) for r in rows]

        def change(function: Any) -> None:
            for cell in cells:
                builder.store(function(builder.load(sums[cell]), cell[1]), sums[cell])

        with builder.if_else(builder.icmp_signed("!=", adds, i64(0))) as (yes, no):
            with yes:
                for r, v in cells:
                    builder.store(ops.load(outs[r], v, v == final), sums[r, v])
            with no:
                for cell in cells:
                    builder.store(ops.zero, sums[cell])
        with cgutils.for_range(builder, depth, intp=i64) as loop:
            begin = builder.gep(ops.floats(b), [ops.integer(line, loop.index)])
            right = [ops.load(begin, v, v == final) for v in range(vectors)]
            offset = ops.integer(step, loop.index)
            for r in rows:
                factor = ops.spread(builder.load(builder.gep(left[r], [offset])), ops.kind)
                for v in range(vectors):
                    builder.store(ops.fma(factor, right[v], builder.load(sums[r, v])), sums[r, v])
        with builder.if_then(builder.icmp_signed("!=", bias, i64(0))):
            added = [ops.load(ops.floats(bias), v, v == final) for v in range(vectors)]
            change(lambda value, v: builder.fadd(value, added[v]))
        with builder.if_then(builder.icmp_signed("!=", positive, i64(0))):
            change(lambda value, v: ops.positive(value))
        for r, v in cells:
            ops.store(builder.load(sums[r, v]), outs[r], v, v == final)
        return context.get_dummy_value()

    def typed(context, a, arow, step, line, depth, b, c, crow, last, adds, bias, positive):  # type: ignore[no-untyped-def]
        return types.void(*[types.int64] * 12), codegen

    return intrinsic(typed)


_SIGNATURE = types.void(*[types.int64] * 12)
_inline_six_1, _inline_six_2, _inline_six_4 = (_tile(ROWS, vectors) for vectors in (1, 2, 4))
_inline_one_1, _inline_one_2, _inline_one_4 = (_tile(1, vectors) for vectors in (1, 2, 4))


def _six_rows_1(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive):  # type: ignore[no-untyped-def]
    _inline_six_1(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive)


def _six_rows_2(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive):  # type: ignore[no-untyped-def]
    _inline_six_2(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive)


def _six_rows_4(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive):  # type: ignore[no-untyped-def]
    _inline_six_4(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive)


def _one_row_1(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive):  # type: ignore[no-untyped-def]
    _inline_one_1(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive)


def _one_row_2(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive):  # type: ignore[no-untyped-def]
    _inline_one_2(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive)


def _one_row_4(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive):  # type: ignore[no-untyped-def]
    _inline_one_4(a, arow, step, line, depth, b, c, crow, last, adds, bias, positive)


@cache
def compiled() -> Any:
    """Return the addresses of the compiled tiles of one, two and, with registers enough, four vectors; then of one row.

    Kernels call them through these, which they are given: a tile is then compiled once, and not in every kernel.
    """
    bodies = [_six_rows_1, _six_rows_2, _six_rows_4, _one_row_1, _one_row_2, _one_row_4]
    if WIDEST < 4:
        bodies = [_six_rows_1, _six_rows_2, _one_row_1, _one_row_2]
    return np.array([compiled_address(body, _SIGNATURE) for body in bodies], np.int64)


@intrinsic
def _call(context, tile, a, arow, step, line, depth, b, c, crow, last, adds, bias, positive):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [a.type for a in arguments[1:]])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 13), codegen


@inner
def address(array: Any) -> Any:
    """Return where the data of an array begin, as a signed integer: Numba makes floats of mixed signs."""
    return np.int64(array.ctypes.data)


@inner
def product(
    code: Any,
    a: Any,
    arow: Any,
    step: Any,
    line: Any,
    depth: Any,
    b: Any,
    bstep: Any,
    c: Any,
    crow: Any,
    rows: Any,
    columns: Any,
    adds: Any,
    bias: Any,
    positive: Any,
) -> None:
    """Compute C (+)= A @ B tile by tile; all addresses are integers, all offsets count floats.

    Args:
        code: what `compiled` returns.
        a, arow, step: A[r, k] lies at a + 4 * (arow[r] + step[k]); arow and step are addresses of int64.
        line: address of int64: row k of B begins at b + 4 * line[k].
        depth: number of steps k.
        b, bstep: the columns of B from v on lie at b + 4 * v * bstep, where v is a multiple of `PANEL`.
        c, crow: C[r, v] lies at c + 4 * (crow[r] + v).
        rows: number of rows; both tables of rows go on with `ROWS` more that repeat the last one.
        columns: number of columns.
        adds: 1 to add to C, 0 to set it.
        bias: address of one float a column to be added at the end, or 0.
        positive: 1 to put 0 where the result is negative.
    """
    done = 0
    while done < columns:
        most = min(columns - done, PANEL)
        number = 2 if most > 3 * LANES and PANEL > 2 * LANES else 1 if most > LANES else 0
        wide = min(most, LANES << number)
        right, out = b + 4 * (done // PANEL * PANEL * bstep + done % PANEL), c + 4 * done
        added = bias + 4 * done if bias else 0
        last = wide - (((1 << number) - 1) * LANES)
        for row in range(0, rows, ROWS):
            left, place = arow + 8 * row, crow + 8 * row
            shape = number + len(code) // 2 if rows - row == 1 else number  # a single row has a tile of its own
            _call(code[shape], a, left, step, line, depth, right, out, place, last, adds, added, positive)
        done += wide
