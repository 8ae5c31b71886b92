"""A register-blocked matrix product whose left rows may be anywhere: the inner loop of every convolution.

In a channels-last image the window of an output pixel is already in memory, as runs of contiguous floats. A
product of windows and filters needs no copy of them, only offsets: row r of a tile begins at an offset of its own,
and step k of the inner dimension has an offset that is the same for all rows. BLAS has no such matrix; this tile does:

    C[crow[r] + v] (+)= sum over k of A[arow[r] + step[k]] * B[brow[k] + v]     r < MR, v < NV * LANES

and then optionally adds a bias to each column and applies a ReLU, before anything is stored. It is written in vector
instructions of LLVM, so that MR * NV sums stay in registers (Goto and van de Geijn, "Anatomy of high-performance matrix
multiplication", ACM TOMS 2008).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.core.typing.templates import Signature

from .cache import address as compiled_address
from .threads import inner
from .vectors import LANES, REGISTERS, Context, Vectors, cgutils, intrinsic, words

# Six rows of up to four vectors take 24 registers for the sums, and leave the addresses of the rows in registers
# too: with eight rows or more they spill, which costs a third of the speed, as measured.
ROWS = 6
WIDEST = 4 if REGISTERS == 32 else 2
PANEL = WIDEST * LANES


Address: TypeAlias = np.int64 | int
"""An address in memory."""
Place = TypeVar("Place", np.ndarray, Address)


class Left(NamedTuple, Generic[Place]):
    """The left operand A of a product, as arrays or as their addresses.

    Attributes:
        data: the floats.
        row_offsets: int64, offset of each row in `data`, in floats.
        step_offsets: int64, offset of each step of the inner dimension in a row.
    """

    data: Place
    row_offsets: Place
    step_offsets: Place


class Right(NamedTuple, Generic[Place]):
    """The right operand B of a product, as arrays or as their addresses.

    Attributes:
        data: the floats.
        row_offsets: int64, offset of each row, which is a step of the inner dimension, in `data`, in floats.
        panel_stride: the columns from v on are v * panel_stride floats further on, where v is a multiple of `PANEL`.
    """

    data: Place
    row_offsets: Place
    panel_stride: int


class Result(NamedTuple, Generic[Place]):
    """The result C of a product, as arrays or as their addresses.

    Attributes:
        data: the floats.
        row_offsets: int64, offset of each row in `data`, in floats.
    """

    data: Place
    row_offsets: Place


class _Tile(NamedTuple):
    """The arguments of a compiled tile: addresses, number of steps, lanes of the last vector, and flags."""

    left: Address
    left_rows: Address
    left_steps: Address
    right: Address
    right_rows: Address
    depth: int
    result: Address
    result_rows: Address
    last: int
    adds: int
    bias: Address
    positive: int


def _tile(height: int, vectors: int) -> Callable[[int], None]:
    """Return a tile of `height` rows of `vectors` vectors as an intrinsic for Numba."""
    rows = range(height)
    cells = [(r, v) for v in range(vectors) for r in rows]

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        fields = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        it = _Tile(*(builder.load(builder.gep(fields, [ir.IntType(64)(i)])) for i in range(len(_Tile._fields))))
        ops = Vectors(builder, it.last)
        i64, final = ops.i64, vectors - 1
        sums = {cell: cgutils.alloca_once(builder, ops.kind) for cell in cells}
        left = [builder.gep(ops.floats(it.left), [ops.integer(it.left_rows, i64(r))]) for r in rows]
        outs = [builder.gep(ops.floats(it.result), [ops.integer(it.result_rows, i64(r))]) for r in rows]

        def change(function: Callable[[Value, int], Value]) -> None:
            for cell in cells:
                builder.store(function(builder.load(sums[cell]), cell[1]), sums[cell])

        with builder.if_else(builder.icmp_signed("!=", it.adds, i64(0))) as (yes, no):
            with yes:
                for r, v in cells:
                    builder.store(ops.load(outs[r], v, v == final), sums[r, v])
            with no:
                for cell in cells:
                    builder.store(ops.zero, sums[cell])
        with cgutils.for_range(builder, it.depth, intp=i64) as loop:
            begin = builder.gep(ops.floats(it.right), [ops.integer(it.right_rows, loop.index)])
            right = [ops.load(begin, v, v == final) for v in range(vectors)]
            offset = ops.integer(it.left_steps, loop.index)
            for r in rows:
                factor = ops.spread(builder.load(builder.gep(left[r], [offset])), ops.kind)
                for v in range(vectors):
                    builder.store(ops.fma(factor, right[v], builder.load(sums[r, v])), sums[r, v])
        with builder.if_then(builder.icmp_signed("!=", it.bias, i64(0))):
            added = [ops.load(ops.floats(it.bias), v, v == final) for v in range(vectors)]
            change(lambda value, v: builder.fadd(value, added[v]))
        with builder.if_then(builder.icmp_signed("!=", it.positive, i64(0))):
            change(lambda value, v: ops.positive(value))
        for r, v in cells:
            ops.store(builder.load(sums[r, v]), outs[r], v, v == final)
        return context.get_dummy_value()

    def typed(context, fields):  # type: ignore[no-untyped-def]
        return types.void(types.int64), codegen

    return intrinsic(typed)


_SIGNATURE = types.void(types.int64)
_inline_six_1, _inline_six_2, _inline_six_4 = (_tile(ROWS, vectors) for vectors in (1, 2, 4))
_inline_one_1, _inline_one_2, _inline_one_4 = (_tile(1, vectors) for vectors in (1, 2, 4))


def _six_rows_1(fields):  # type: ignore[no-untyped-def]
    _inline_six_1(fields)


def _six_rows_2(fields):  # type: ignore[no-untyped-def]
    _inline_six_2(fields)


def _six_rows_4(fields):  # type: ignore[no-untyped-def]
    _inline_six_4(fields)


def _one_row_1(fields):  # type: ignore[no-untyped-def]
    _inline_one_1(fields)


def _one_row_2(fields):  # type: ignore[no-untyped-def]
    _inline_one_2(fields)


def _one_row_4(fields):  # type: ignore[no-untyped-def]
    _inline_one_4(fields)


@cache
def compiled() -> np.ndarray:
    """Return the addresses of tiles of one, two and, with enough registers, four vectors; then of those of one row.

    Kernels get these addresses as arguments: a tile is then compiled once, and not in every kernel.
    """
    bodies = [_six_rows_1, _six_rows_2, _six_rows_4, _one_row_1, _one_row_2, _one_row_4]
    if WIDEST < 4:
        bodies = [_six_rows_1, _six_rows_2, _one_row_1, _one_row_2]
    return np.array([compiled_address(body, _SIGNATURE) for body in bodies], np.int64)


@intrinsic
def _call(context, compiled_tile, it):  # type: ignore[no-untyped-def]
    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        function, *fields = words(context, builder, signature.args, arguments)
        i64 = ir.IntType(64)
        packed = cgutils.alloca_once(builder, ir.ArrayType(i64, len(fields)))
        for place, field in enumerate(fields):
            builder.store(field, builder.gep(packed, [i64(0), i64(place)]))
        kind = ir.FunctionType(ir.VoidType(), [i64])
        builder.call(builder.inttoptr(function, kind.as_pointer()), [builder.ptrtoint(packed, i64)])
        return context.get_dummy_value()

    return types.void(compiled_tile, it), codegen


@inner
def address(array: np.ndarray) -> np.int64:
    """Return the address of an array's data as a signed integer: Numba makes a float of mixed signedness."""
    return np.int64(array.ctypes.data)


@inner
def product(
    tiles: np.ndarray,
    left: Left[Address],
    right: Right[Address],
    result: Result[Address],
    depth: int,
    rows: int,
    columns: int,
    adds: int,
    bias: Address,
    positive: int,
) -> None:
    """Compute C (+)= A @ B tile by tile; all addresses are integers.

    Args:
        tiles: the result of `compiled`.
        left: A, a `Left` of addresses.
        right: B, a `Right` of addresses.
        result: C, a `Result` of addresses; the tables of rows of A and C end with `ROWS` repetitions of the last entry.
        depth: size of the inner dimension.
        rows: number of rows.
        columns: number of columns.
        adds: 1 to add to C, 0 to overwrite it.
        bias: address of one float per column to be added at the end, or 0.
        positive: 1 to apply a ReLU.
    """
    done = 0
    while done < columns:
        most = min(columns - done, PANEL)
        number = 2 if most > 3 * LANES and PANEL > 2 * LANES else 1 if most > LANES else 0
        wide = min(most, LANES << number)
        b, c = right.data + 4 * (done // PANEL * PANEL * right.panel_stride + done % PANEL), result.data + 4 * done
        added = bias + 4 * done if bias else 0
        last = wide - (((1 << number) - 1) * LANES)
        for row in range(0, rows, ROWS):
            a, to = left.row_offsets + 8 * row, result.row_offsets + 8 * row
            shape = number + len(tiles) // 2 if rows - row == 1 else number  # a single row has a tile of its own
            it = _Tile(left.data, a, left.step_offsets, b, right.row_offsets, depth, c, to, last, adds, added, positive)
            _call(tiles[shape], it)
        done += wide
