"""Vector instructions of LLVM, for the few loops in which every instruction counts.

Numba's own vectorised loops are fast for long arrays. A pixel often has no more than 32 channels, two vectors; loops
over so few are better written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from llvmlite import binding, ir
from llvmlite.ir import IRBuilder, Type, Value
from numba import types
from numba.core import cgutils as _cgutils
from numba.core import config as _config
from numba.extending import intrinsic as _intrinsic


def _features() -> dict[str, bool]:
    """Return the features of the processor that Numba compiles for: NUMBA_CPU_FEATURES, or those of the host."""
    config: Any = _config  # untyped
    if config.CPU_FEATURES is None:
        return dict(binding.get_host_cpu_features())
    return {name[1:]: name[0] == "+" for name in config.CPU_FEATURES.split(",") if name}


def _machine() -> tuple[int, int]:
    """Return the float32 lanes of a vector register, and the number of such registers."""
    features = _features()
    if features.get("avx512f"):
        return 16, 32
    if features.get("avx2") and features.get("fma"):
        return 8, 16
    arm = "neon" in features or binding.get_process_triple().startswith(("aarch64", "arm64"))
    return 4, 32 if arm else 16


cgutils: Any = _cgutils  # untyped
intrinsic: Callable[[Callable[..., object]], Callable[..., Any]] = _intrinsic
LANES, REGISTERS = _machine()


class Context(Protocol):
    """What intrinsics use of Numba's context of a target."""

    def get_dummy_value(self) -> Value:
        """Return what a function without a result returns."""

    def cast(self, builder: IRBuilder, value: Value, source: Type, target: Type) -> Value:
        """Return a value of one of Numba's types as another."""


class Vectors:
    """Vector instructions of LLVM on the float32 lanes of one register."""

    def __init__(self, builder: IRBuilder, mask: Value) -> None:
        self.builder = builder
        self.real, self.i32, self.i64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
        self.kind = ir.VectorType(self.real, LANES)
        self.zero = ir.Constant(self.kind, [0.0] * LANES)
        self._mask = builder.icmp_signed(
            "<",
            ir.Constant(ir.VectorType(self.i64, LANES), list(range(LANES))),
            self.spread(mask, ir.VectorType(self.i64, LANES)),
        )

    def _call(self, name: str, result: Type, *arguments: Value) -> Value:
        kind = ir.FunctionType(result, [a.type for a in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)

    def spread(self, scalar: Value, kind: Type) -> Value:
        """Return a vector with `scalar` in every lane."""
        nothing = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, self.i32(0))
        lanes = ir.Constant(ir.VectorType(self.i32, LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, nothing, lanes)

    def floats(self, address: Value) -> Value:
        """Return the pointer to the floats at an integer `address`."""
        return self.builder.inttoptr(address, self.real.as_pointer())

    def integer(self, address: Value, index: Value) -> Value:
        """Return element `index` of the int64 at an integer `address`."""
        table = self.builder.inttoptr(address, self.i64.as_pointer())
        return self.builder.load(self.builder.gep(table, [index]))

    def _at(self, base: Value, vector: int) -> Value:
        return self.builder.bitcast(self.builder.gep(base, [self.i64(vector * LANES)]), self.kind.as_pointer())

    def load(self, base: Value, vector: int, masked: bool) -> Value:
        """Return vector `vector`, counted from `base`; of a masked one only the selected lanes are read."""
        if not masked:
            return self.builder.load(self._at(base, vector), align=4)
        name = f"llvm.masked.load.v{LANES}f32.p0"
        return self._call(name, self.kind, self._at(base, vector), self.i32(4), self._mask, self.zero)

    def store(self, value: Value, base: Value, vector: int, masked: bool) -> None:
        """Write vector `vector`, counted from `base`; of a masked one only the selected lanes."""
        if masked:
            name = f"llvm.masked.store.v{LANES}f32.p0"
            self._call(name, ir.VoidType(), value, self._at(base, vector), self.i32(4), self._mask)
        else:
            self.builder.store(value, self._at(base, vector), align=4)

    def load_doubles(self, base: Value, masked: bool) -> Value:
        """Return as many float64 from `base` on as a vector of float32 has lanes."""
        kind = ir.VectorType(ir.DoubleType(), LANES)
        at = self.builder.bitcast(base, kind.as_pointer())
        if not masked:
            return self.builder.load(at, align=8)
        zero = ir.Constant(kind, [0.0] * LANES)
        return self._call(f"llvm.masked.load.v{LANES}f64.p0", kind, at, self.i32(8), self._mask, zero)

    def store_doubles(self, value: Value, base: Value, masked: bool) -> None:
        """Write as many float64 from `base` on as a vector of float32 has lanes."""
        at = self.builder.bitcast(base, value.type.as_pointer())
        if masked:
            self._call(f"llvm.masked.store.v{LANES}f64.p0", ir.VoidType(), value, at, self.i32(8), self._mask)
        else:
            self.builder.store(value, at, align=8)

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """Return what an intrinsic function of LLVM, such as ``fabs``, makes of vectors of float32."""
        return self._call(f"llvm.{name}.v{LANES}f32", self.kind, *arguments)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """Return a * b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def positive(self, value: Value) -> Value:
        """Return max(value, 0); a NaN propagates."""
        below = self.builder.fcmp_ordered("<=", value, self.zero)
        return self.builder.select(below, self.zero, value)

    def larger(self, best: Value, index: Value, new: Value, number: Value) -> tuple[Value, Value]:
        """Return the larger of `best` and `new`, and its index; a NaN is larger than all, the first NaN stays."""
        known = self.builder.fcmp_ordered("ord", best, best)
        wins = self.builder.and_(known, self.builder.fcmp_unordered(">", new, best))
        return self.builder.select(wins, new, best), self.builder.select(wins, number, index)

    def largest(self, values: list[Value]) -> tuple[Value, Value]:
        """Return the maximum of some vectors, lane by lane, and the index of the first vector that has it."""
        whole = ir.VectorType(self.i32, LANES)
        best, index = values[0], ir.Constant(whole, [0] * LANES)
        for number, value in enumerate(values[1:], 1):
            best, index = self.larger(best, index, value, ir.Constant(whole, [number] * LANES))
        return best, index

    def counts(self, base: Value, offset: Value, masked: bool) -> Value:
        """Return the unsigned bytes from `base` + `offset` on as a vector of int32."""
        few, many = ir.VectorType(ir.IntType(8), LANES), ir.VectorType(self.i32, LANES)
        at = self.builder.inttoptr(self.builder.add(base, offset), few.as_pointer())
        if not masked:
            return self.builder.zext(self.builder.load(at, align=1), many)
        zero = ir.Constant(few, [0] * LANES)
        return self.builder.zext(
            self._call(f"llvm.masked.load.v{LANES}i8.p0", few, at, self.i32(1), self._mask, zero), many
        )

    def store_counts(self, value: Value, base: Value, offset: Value, masked: bool) -> None:
        """Write a vector of int32 as bytes from `base` + `offset` on."""
        few = ir.VectorType(ir.IntType(8), LANES)
        at = self.builder.inttoptr(self.builder.add(base, offset), few.as_pointer())
        short = self.builder.trunc(value, few)
        if masked:
            self._call(f"llvm.masked.store.v{LANES}i8.p0", ir.VoidType(), short, at, self.i32(1), self._mask)
        else:
            self.builder.store(short, at, align=1)


def words(context: Context, builder: IRBuilder, kinds: Sequence[Type], values: Sequence[Value]) -> list[Value]:
    """Return the integers among arguments of `kinds`, those of tuples one by one, each as an int64."""
    found = []
    for kind, value in zip(kinds, values, strict=True):
        inside = getattr(kind, "types", None)  # for a tuple
        if inside is not None:
            fields = [builder.extract_value(value, place) for place in range(len(inside))]
            found += words(context, builder, inside, fields)
        else:
            found.append(context.cast(builder, value, kind, types.int64))
    return found


def over_lanes(builder: IRBuilder, count: Value, body: Callable[[Vectors, Value, bool], None]) -> None:
    """Emit `body` for each vector of `count` floats: its arguments are the offset, and whether the vector is masked."""
    i64 = ir.IntType(64)
    lanes = i64(LANES)
    whole = builder.udiv(count, lanes)
    with cgutils.for_range(builder, whole, intp=i64) as loop:
        body(Vectors(builder, lanes), builder.mul(loop.index, lanes), False)
    done = builder.mul(whole, lanes)
    with builder.if_then(builder.icmp_signed("<", done, count)):
        body(Vectors(builder, builder.sub(count, done)), done, True)
