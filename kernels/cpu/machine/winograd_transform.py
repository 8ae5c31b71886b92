"""The transforms P d P^T with the small constant matrices P of Winograd's algorithm, a vector of channels at a time.

d and the result are each a `Square`. Addresses are integers (see `tile`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import njit, types
from numba.core.typing.templates import Signature

from .tile import Address
from .vectors import LANES, Context, Vectors, intrinsic, over_lanes, words

Matrix = tuple[tuple[float, ...], ...]


class Square(NamedTuple):
    """A small square of vectors: element (i, j) is i * row_stride + j * column_stride floats after `first`."""

    first: Address
    row_stride: int
    column_stride: int


# F(2x2, 3x3): Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, section 4.1.
INPUT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
FILTER: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
OUTPUT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))


def _turned(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _combined(ops: Vectors, factors: tuple[float, ...], values: list[Value]) -> Value:
    """Return the sum of factors times values, in order; the first nonzero factor may be negative."""
    total = None
    for factor, value in zip(factors, values, strict=True):
        if factor == 0:
            continue
        term = value
        if abs(factor) != 1:
            term = ops.builder.fmul(value, ir.Constant(ops.kind, [float(abs(factor))] * LANES))
        if total is None:
            total = term if factor > 0 else ops.builder.fsub(ops.zero, term)
        else:
            total = (ops.builder.fadd if factor > 0 else ops.builder.fsub)(total, term)
    return total


def _products(
    ops: Vectors, matrix: Matrix, source: Value, srow: Value, scol: Value, offset: Value, masked: bool
) -> list[list[Value]]:
    size = range(len(matrix[0]))
    begin = ops.builder.gep(ops.floats(source), [offset])

    def at(i: int, j: int) -> Value:
        distance = ops.builder.add(ops.builder.mul(srow, ops.i64(i)), ops.builder.mul(scol, ops.i64(j)))
        return ops.load(ops.builder.gep(begin, [distance]), 0, masked)

    d = [[at(i, j) for j in size] for i in size]
    half = [[_combined(ops, row, [d[k][j] for k in size]) for j in size] for row in matrix]
    return [[_combined(ops, row, half[i]) for row in matrix] for i in range(len(matrix))]


def _transform(matrix: Matrix) -> Callable[..., None]:
    """Return P d P^T as a function for Numba: with `adds` it adds to the destination, else it finishes the values.

    Finishing adds the bias, whose address is 0 for none, and with `positive` applies a ReLU.
    """

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        source, srow, scol, to, drow, dcol, adds, bias, positive, channels = words(
            context, builder, signature.args, arguments
        )

        def body(ops: Vectors, offset: Value, masked: bool) -> None:
            values = _products(ops, matrix, source, srow, scol, offset, masked)
            cells = [(i, j) for i in range(len(matrix)) for j in range(len(matrix))]
            begin = builder.gep(ops.floats(to), [offset])
            places = [
                builder.gep(begin, [builder.add(builder.mul(drow, ops.i64(i)), builder.mul(dcol, ops.i64(j)))])
                for i, j in cells
            ]
            with builder.if_else(builder.icmp_signed("!=", adds, ops.i64(0))) as (yes, no):
                with yes:
                    for (i, j), place in zip(cells, places, strict=True):
                        ops.store(builder.fadd(ops.load(place, 0, masked), values[i][j]), place, 0, masked)
                with no:
                    flat = finished(ops, [values[i][j] for i, j in cells], bias, positive, offset, masked)
                    for value, place in zip(flat, places, strict=True):
                        ops.store(value, place, 0, masked)

        over_lanes(builder, channels, body)
        return context.get_dummy_value()

    def typed(context, source, to, adds, bias, positive, channels):  # type: ignore[no-untyped-def]
        return types.void(source, to, adds, bias, positive, channels), codegen

    inline = intrinsic(typed)

    def function(source, to, adds, bias, positive, channels):  # type: ignore[no-untyped-def]
        inline(source, to, adds, bias, positive, channels)

    return njit(nogil=True)(function)


def finished(
    ops: Vectors, values: list[Value], bias: Value, positive: Value, offset: Value, masked: bool
) -> list[Value]:
    """Return values with the bias added, if there is one, and with a ReLU applied, if `positive`."""
    builder = ops.builder
    nothing = builder.icmp_signed("==", bias, ops.i64(0))
    added = _loaded_or_zero(ops, bias, nothing, offset, masked)
    with_bias = [builder.select(nothing, v, builder.fadd(v, added)) for v in values]
    wanted = builder.icmp_signed("!=", positive, ops.i64(0))
    return [builder.select(wanted, ops.positive(v), v) for v in with_bias]


def _loaded_or_zero(ops: Vectors, address: Value, nothing: Value, offset: Value, masked: bool) -> Value:
    builder = ops.builder
    with builder.if_else(nothing) as (yes, no):
        with yes:
            empty = builder.block
        with no:
            value = ops.load(builder.gep(ops.floats(address), [offset]), 0, masked)
            full = builder.block
    both = builder.phi(ops.kind)
    both.add_incoming(ops.zero, empty)
    both.add_incoming(value, full)
    return both


def _pooled() -> Callable[..., None]:
    """Return the maximum of the four finished values of OUTPUT d OUTPUT^T, and its tap, as a function for Numba."""

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        source, srow, scol, y, tap, bias, positive, channels = words(context, builder, signature.args, arguments)

        def body(ops: Vectors, offset: Value, masked: bool) -> None:
            values = _products(ops, OUTPUT, source, srow, scol, offset, masked)
            flat = finished(ops, [v for row in values for v in row], bias, positive, offset, masked)
            best, index = ops.largest(flat)
            ops.store(best, builder.gep(ops.floats(y), [offset]), 0, masked)
            ops.store_counts(index, tap, offset, masked)

        over_lanes(builder, channels, body)
        return context.get_dummy_value()

    def typed(context, source, y, tap, bias, positive, channels):  # type: ignore[no-untyped-def]
        return types.void(source, y, tap, bias, positive, channels), codegen

    inline = intrinsic(typed)

    def function(source, y, tap, bias, positive, channels):  # type: ignore[no-untyped-def]
        inline(source, y, tap, bias, positive, channels)

    return njit(nogil=True)(function)


to_input, to_filter, to_output = _transform(INPUT), _transform(FILTER), _transform(OUTPUT)
from_input, from_filter, from_output = (_transform(_turned(m)) for m in (INPUT, FILTER, OUTPUT))
to_maxima = _pooled()
