"""The gates of recurrent networks in vector instructions: what follows the product of a step, for one row of floats.

All of it is done while a vector of each gate is in registers. Addresses are integers (see `tile`); the blocks of a row
of gates are `units` floats apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import njit, types
from numba.core.typing.templates import Signature

from .tile import Address
from .vectors import LANES, Context, Vectors, intrinsic, over_lanes

_INTS = ir.VectorType(ir.IntType(32), LANES)
_SHIFT = 12582912.0  # 1.5 * 2**23: added to a number, it leaves the nearest integer in the lowest bits
_CONTRACT = ("contract",)  # a product and the sum after it may be rounded once


class Lanes:
    """A vector of float32 in a register, with the operators of numbers."""

    def __init__(self, ops: Vectors, value: Value) -> None:
        self._ops = ops
        self.value = value

    def _vector(self, value: Lanes | float) -> Value:
        return value.value if isinstance(value, Lanes) else ir.Constant(self._ops.kind, [value] * LANES)

    def _with(self, emit: Callable[..., Value], other: Lanes | float, turned: bool = False) -> Lanes:
        pair = (self._vector(other), self.value) if turned else (self.value, self._vector(other))
        return Lanes(self._ops, emit(*pair, flags=_CONTRACT))

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._with(self._ops.builder.fadd, other)

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._with(self._ops.builder.fsub, other)

    def __rsub__(self, other: float) -> Lanes:
        return self._with(self._ops.builder.fsub, other, turned=True)

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._with(self._ops.builder.fmul, other)

    def __truediv__(self, other: Lanes) -> Lanes:
        return self._with(self._ops.builder.fdiv, other)

    def below(self, limit: float, then: Lanes | float, otherwise: Lanes | float) -> Lanes:
        """Return `then` where this is less than `limit`, and `otherwise` elsewhere, also where this is NaN."""
        less = self._ops.builder.fcmp_ordered("<", self.value, self._vector(limit))
        return Lanes(self._ops, self._ops.builder.select(less, self._vector(then), self._vector(otherwise)))

    def size(self) -> Lanes:
        """Return the absolute values."""
        return Lanes(self._ops, self._ops.intrinsic("fabs", self.value))

    def signed_as(self, other: Lanes) -> Lanes:
        """Return this with the signs of `other`."""
        return Lanes(self._ops, self._ops.intrinsic("copysign", self.value, other.value))

    def power_of_two(self) -> Lanes:
        """Return 2**n, n from -126 on, where this is n + _SHIFT."""
        builder = self._ops.builder
        bits = builder.add(builder.bitcast(self.value, _INTS), ir.Constant(_INTS, [127] * LANES))
        raised = builder.shl(bits, ir.Constant(_INTS, [23] * LANES))
        return Lanes(self._ops, builder.bitcast(raised, self._ops.kind))


def _decay(x: Lanes) -> Lanes:
    """Return exp(x), x not above 0, by the polynomial of Moshier's Cephes library; nothing is below 2**-126."""
    x = x.below(-87.0, -87.0, x)
    shifted = x * 1.4426950408889634 + _SHIFT
    n = shifted - _SHIFT
    r = x - n * 0.693359375 + n * 2.12194440e-4  # ln(2) in two parts, so that n * ln(2) loses no bits
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    for coefficient in (8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5):
        p = p * r + coefficient
    return (p * (r * r) + r + 1.0) * shifted.power_of_two()


def _sigmoid(x: Lanes) -> Lanes:
    e = _decay(x.size() * -1.0)
    return x.below(0.0, e, 1.0) / (e + 1.0)


def _tanh(x: Lanes) -> Lanes:
    """Return tanh(x), as in Moshier's Cephes library."""
    s, size = x * x, x.size()
    p = s * -5.70498872745e-3 + 2.06390887954e-2
    for coefficient in (-5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1):
        p = p * s + coefficient
    e = _decay(size * -2.0)
    return size.below(0.625, p * s * x + x, ((1.0 - e) / (e + 1.0)).signed_as(x))


class _Row:
    """The part of some rows that one vector holds."""

    def __init__(self, ops: Vectors, units: Value, offset: Value, masked: bool) -> None:
        self._ops, self._units, self._offset, self._masked = ops, units, offset, masked

    def _at(self, row: Value, block: int) -> Value:
        builder = self._ops.builder
        skipped = builder.mul(self._units, self._ops.i64(block))
        return builder.gep(self._ops.floats(row), [builder.add(skipped, self._offset)])

    def load(self, row: Value, blocks: int = 1, first: int = 0) -> list[Lanes]:
        """Return `blocks` blocks of a row, from block `first` on."""
        places = [self._at(row, first + block) for block in range(blocks)]
        return [Lanes(self._ops, self._ops.load(place, 0, self._masked)) for place in places]

    def add(self, row: Value, *values: Lanes) -> None:
        """Add to blocks of a row."""
        self.store(row, *(sum + value for sum, value in zip(self.load(row, len(values)), values, strict=True)))

    def clear(self, row: Value) -> None:
        """Set a block to zero."""
        self._ops.store(self._ops.zero, self._at(row, 0), 0, self._masked)

    def store(self, row: Value, *values: Lanes, first: int = 0) -> None:
        """Write blocks of a row, from block `first` on."""
        for block, value in enumerate(values, first):
            self._ops.store(value.value, self._at(row, block), 0, self._masked)


def _lstm(row: _Row, gates: Value, x: Value, before: Value, cells: Value, hs: Value) -> None:
    (c,) = row.load(before)
    i, f, g, o = (y + z for y, z in zip(row.load(gates, 4), row.load(x, 4), strict=True))
    i, f, g, o = _sigmoid(i), _sigmoid(f), _tanh(g), _sigmoid(o)
    row.store(gates, i, f, g, o)
    c = f * c + i * g
    row.store(cells, c)
    row.store(hs, o * _tanh(c))


def _lstm_slopes(
    row: _Row, gates: Value, before: Value, cells: Value, dx: Value, sums: Value, dh: Value, dc: Value
) -> None:
    i, f, g, o = row.load(gates, 4)
    (c,), (now,), (of_h,), (of_c,) = (row.load(each) for each in (before, cells, dh, dc))
    s = _tanh(now)
    of_h = of_h * o
    of_c = of_c + of_h * (1.0 - s * s)
    kept = of_c * f
    slopes = of_c * g * i * (1.0 - i), kept * c * (1.0 - f), of_c * i * (1.0 - g * g), of_h * s * (1.0 - o)
    row.store(dx, *slopes)
    row.add(sums, *slopes)
    row.store(dc, kept)
    row.clear(dh)


def _gru(row: _Row, gates: Value, x: Value, before: Value, hs: Value) -> None:
    (z, r, y), (of_z, of_r, of_new), (h,) = row.load(gates, 3), row.load(x, 3), row.load(before)
    z, r = _sigmoid(z + of_z), _sigmoid(r + of_r)
    new = _tanh(of_new + r * y)
    row.store(gates, z, r)
    row.store(gates, new, first=3)
    row.store(hs, z * h + (1.0 - z) * new)


def _gru_slopes(row: _Row, gates: Value, before: Value, dx: Value, dy: Value, sums: Value, dh: Value) -> None:
    (z, r, y, new), (h,), (slope,) = row.load(gates, 4), row.load(before), row.load(dh)
    moved = slope * (1.0 - z)
    of_z, of_new = moved * (h - new) * z, moved * (1.0 - new * new)
    of_r = of_new * y * r * (1.0 - r)
    row.store(dx, of_z, of_r, of_new)
    row.store(dy, of_z, of_r, of_new * r)
    row.add(sums, of_z, of_r, of_new * r)
    row.store(dh, slope * z)


def _over(step: Callable[..., None]) -> Callable[..., Value]:
    """Return what emits `step` for each vector of `units` floats of the rows whose addresses are given before."""

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        *rows, units = arguments

        def body(ops: Vectors, offset: Value, masked: bool) -> None:
            step(_Row(ops, units, offset, masked), *rows)

        over_lanes(builder, units, body)
        return context.get_dummy_value()

    return codegen


_lstm_codegen, _lstm_slopes_codegen = _over(_lstm), _over(_lstm_slopes)
_gru_codegen, _gru_slopes_codegen = _over(_gru), _over(_gru_slopes)


@intrinsic
def _lstm_gates(context, gates, x, before, cells, hs, units):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 6), _lstm_codegen


@intrinsic
def _lstm_gate_slopes(context, gates, before, cells, dx, sums, dh, dc, units):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 8), _lstm_slopes_codegen


@intrinsic
def _gru_gates(context, gates, x, before, hs, units):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 5), _gru_codegen


@intrinsic
def _gru_gate_slopes(context, gates, before, dx, dy, sums, dh, units):  # type: ignore[no-untyped-def]
    return types.void(*[types.int64] * 7), _gru_slopes_codegen


@njit(nogil=True)
def lstm_gates(gates: Address, x: Address, before: Address, cells: Address, hs: Address, units: int) -> None:
    """Add x to the gates i, f, g and o, apply their activations, and write the next c and h.

    `before` is the row of c before the step, `cells` that after it.
    """
    _lstm_gates(gates, x, before, cells, hs, units)


@njit(nogil=True)
def lstm_gate_slopes(
    gates: Address, before: Address, cells: Address, dx: Address, sums: Address, dh: Address, dc: Address, units: int
) -> None:
    """Write the gradients of the sums in the gates to `dx`, and add them to `sums`.

    That of c is replaced by the gradient before the step, that of h by 0.
    """
    _lstm_gate_slopes(gates, before, cells, dx, sums, dh, dc, units)


@njit(nogil=True)
def gru_gates(gates: Address, x: Address, before: Address, hs: Address, units: int) -> None:
    """Add x to the gates z and r, apply their activations, and write the candidate, in the last block, and the next h.

    The third block of the gates is what r multiplies.
    """
    _gru_gates(gates, x, before, hs, units)


@njit(nogil=True)
def gru_gate_slopes(
    gates: Address, before: Address, dx: Address, dy: Address, sums: Address, dh: Address, units: int
) -> None:
    """Write the gradients with respect to x and to the product; add the latter to `sums`, multiply that of h by z."""
    _gru_gate_slopes(gates, before, dx, dy, sums, dh, units)
