"""A register-blocked matrix product whose left rows lie anywhere: the inner loop of every convolution.

In a channels-last image the window of an output pixel is already in memory, as runs of contiguous floats. A
product of windows and filters needs no copy of them, only addresses: row r of a tile begins at its own offset,
and step k of the product lies at an offset that all rows share. BLAS knows no such matrix; this tile does:

    C[crow[r] + v] (+)= sum over k of A[arow[r] + step[k]] * B[k * ldb + v]     r < MR, v < NV * LANES

It is written in vector instructions of LLVM, so that MR * NV sums stay in registers (Goto and van de Geijn,
"Anatomy of high-performance matrix multiplication", ACM TOMS 2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

from .threads import inner


def _machine() -> tuple[int, int]:
    """Return the float32 lanes of a vector register, and the number of such registers."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 32
    if features.get("avx2") and features.get("fma"):
        return 8, 16
    arm = "neon" in features or binding.get_process_triple().startswith(("aarch64", "arm64"))
    return 4, 32 if arm else 16


cgutils: Any = _cgutils  # untyped
LANES, REGISTERS = _machine()
# Six rows of up to four vectors take 24 registers for the sums, and leave the addresses of the rows in registers
# too: with eight rows or more they spill, which was measured to cost a third.
ROWS = 6
WIDEST = 4 if REGISTERS == 32 else 2
PANEL = WIDEST * LANES


class _Vectors:
    """Vector instructions of LLVM on the float32 lanes of one register."""

    def __init__(self, builder: Any, mask: Any) -> None:
        self.builder = builder
        self.real, self.i32, self.i64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
        self.kind = ir.VectorType(self.real, LANES)
        self.zero = ir.Constant(self.kind, [0.0] * LANES)
        self._mask = builder.icmp_signed(
            "<",
            ir.Constant(ir.VectorType(self.i64, LANES), list(range(LANES))),
            self.spread(mask, ir.VectorType(self.i64, LANES)),
        )

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        kind = ir.FunctionType(result, [a.type for a in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)

    def spread(self, scalar: Any, kind: Any) -> Any:
        """Return a vector with `scalar` in every lane."""
        nothing = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, self.i32(0))
        lanes = ir.Constant(ir.VectorType(self.i32, LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, nothing, lanes)

    def floats(self, address: Any) -> Any:
        """Return the pointer to the floats at an integer `address`."""
        return self.builder.inttoptr(address, self.real.as_pointer())

    def integer(self, address: Any, index: Any) -> Any:
        """Return element `index` of the int64 at an integer `address`."""
        table = self.builder.inttoptr(address, self.i64.as_pointer())
        return self.builder.load(self.builder.gep(table, [index]))

    def _at(self, base: Any, vector: int) -> Any:
        return self.builder.bitcast(self.builder.gep(base, [self.i64(vector * LANES)]), self.kind.as_pointer())

    def load(self, base: Any, vector: int, masked: bool) -> Any:
        """Return vector number `vector` from `base` on; of a masked one only the lanes that are wanted are read."""
        if not masked:
            return self.builder.load(self._at(base, vector), align=4)
        name = f"llvm.masked.load.v{LANES}f32.p0"
        return self._call(name, self.kind, self._at(base, vector), self.i32(4), self._mask, self.zero)

    def store(self, value: Any, base: Any, vector: int, masked: bool) -> None:
        """Write vector number `vector` from `base` on; of a masked one only the lanes that are wanted."""
        if masked:
            name = f"llvm.masked.store.v{LANES}f32.p0"
            self._call(name, ir.VoidType(), value, self._at(base, vector), self.i32(4), self._mask)
        else:
            self.builder.store(value, self._at(base, vector), align=4)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a * b + c, rounded once."""
        return self._call(f"llvm.fma.v{LANES}f32", self.kind, a, b, c)


def _tile(vectors: int) -> Any:
    """Return a tile of `ROWS` rows of `vectors` vectors as an intrinsic for Numba."""
    rows = range(ROWS)
    cells = [(r, v) for v in range(vectors) for r in rows]

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, arow, step, depth, b, ldb, c, crow, last, adds = arguments
        ops = _Vectors(builder, last)
        i64, final = ops.i64, vectors - 1
        sums = {cell: cgutils.alloca_once(builder, ops.kind) for cell in cells}
        left = [builder.gep(ops.floats(a), [ops.integer(arow, i64(r))]) for r in rows]
        outs = [builder.gep(ops.floats(c), [ops.integer(crow, i64(r))]) for r in rows]
        with builder.if_else(builder.icmp_signed("!=", adds, i64(0))) as (yes, no):
            with yes:
                for r, v in cells:
                    builder.store(ops.load(outs[r], v, v == final), sums[r, v])
            with no:
                for cell in cells:
                    builder.store(ops.zero, sums[cell])
        with cgutils.for_range(builder, depth, intp=i64) as loop:
            line = builder.gep(ops.floats(b), [builder.mul(loop.index, ldb)])
            right = [ops.load(line, v, v == final) for v in range(vectors)]
            offset = ops.integer(step, loop.index)
            for r in rows:
                factor = ops.spread(builder.load(builder.gep(left[r], [offset])), ops.kind)
                for v in range(vectors):
                    builder.store(ops.fma(factor, right[v], builder.load(sums[r, v])), sums[r, v])
        for r, v in cells:
            ops.store(builder.load(sums[r, v]), outs[r], v, v == final)
        return context.get_dummy_value()

    def typed(context, a, arow, step, depth, b, ldb, c, crow, last, adds):  # type: ignore[no-untyped-def]
        return types.void(*[types.int64] * 10), codegen

    return intrinsic(typed)


def _compiled(vectors: int) -> Any:
    """Return the tile as a function of its own, compiled once and called by every kernel."""
    body = _tile(vectors)

    def tile(a, arow, step, depth, b, ldb, c, crow, last, adds):  # type: ignore[no-untyped-def]
        body(a, arow, step, depth, b, ldb, c, crow, last, adds)

    return njit(nogil=True)(tile)


_one, _two, _three, _four = (_compiled(vectors) for vectors in (1, 2, 3, 4))


@inner
def address(array: Any) -> Any:
    """Return where the data of an array begin, as a signed integer: Numba makes floats of mixed signs."""
    return np.int64(array.ctypes.data)


@inner
def product(
    a: Any,
    arow: Any,
    step: Any,
    depth: Any,
    b: Any,
    ldb: Any,
    bstep: Any,
    c: Any,
    crow: Any,
    rows: Any,
    columns: Any,
    adds: Any,
) -> None:
    """Compute C (+)= A @ B tile by tile; all addresses are integers, all offsets count floats.

    Args:
        a, arow, step: A[r, k] lies at a + 4 * (arow[r] + step[k]); arow and step are addresses of int64.
        depth: number of steps k.
        b, ldb, bstep: B[k, v] lies at b + 4 * (k * ldb + v), and the columns from v on at b + 4 * v * bstep.
        c, crow: C[r, v] lies at c + 4 * (crow[r] + v).
        rows: number of rows; both tables of rows go on with `ROWS` more that repeat the last one.
        columns: number of columns.
        adds: 1 to add to C, 0 to set it.
    """
    done = 0
    while done < columns:
        vectors = min((columns - done + LANES - 1) // LANES, WIDEST)
        last = min(columns - done - (vectors - 1) * LANES, LANES)
        right, out = b + 4 * done * bstep, c + 4 * done
        for row in range(0, rows, ROWS):
            left, place = arow + 8 * row, crow + 8 * row
            if vectors == 4:
                _four(a, left, step, depth, right, ldb, out, place, last, adds)
            elif vectors == 3:
                _three(a, left, step, depth, right, ldb, out, place, last, adds)
            elif vectors == 2:
                _two(a, left, step, depth, right, ldb, out, place, last, adds)
            else:
                _one(a, left, step, depth, right, ldb, out, place, last, adds)
        done += vectors * LANES
