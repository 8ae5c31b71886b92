"""One kernel for any sequence of elementwise ops: an interpreter that runs a program block by block.

Compiling a kernel for each sequence would cost half a second at its first use. Here each instruction of the program is
a loop of vector instructions over a block of elements, so that reading the program costs little, and the blocks of
intermediate values stay in the first-level cache. (NumExpr works like this.)

A program is one array of int64:

    header        size, block, first instruction, first instruction that is run for every block, end of the instructions
    operands      base, step, stride: for thread t, element `at` has the address base + at * step + t * stride
    instructions  code, and the positions in the program of the operands out, a, b and c

Kinds of elements: f float32, d float64, l int64, i int32, B a byte, bool or uint8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numba as _numba
from llvmlite import ir
from llvmlite.ir import IRBuilder, Type, Value
from numba import types
from numba.core.typing.templates import Signature

from .cache import address
from .prebound import called
from .vectors import LANES, Context, cgutils, intrinsic

numba: Any = _numba  # untyped
HEADER, OPERAND, INSTRUCTION = 5, 3, 5

_I64 = ir.IntType(64)
_KINDS = {"f": ir.FloatType(), "d": ir.DoubleType(), "l": _I64, "i": ir.IntType(32), "B": ir.IntType(8)}
_BYTES = {"f": 4, "d": 8, "l": 8, "i": 4, "B": 1}


def _vector(kind: str) -> Type:
    return ir.VectorType(_KINDS[kind], LANES)


def _intrinsic(builder: IRBuilder, name: str, *arguments: Value, result: Type | None = None) -> Value:
    kind = ir.FunctionType(result or arguments[0].type, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _choice(better: str) -> Callable[..., Value]:
    # Of equal operands, such as zeros of both signs, the result is the second; a NaN propagates. NumPy's vector code
    # does the same.
    def emit(builder: IRBuilder, x: Value, y: Value) -> Value:
        first = builder.or_(builder.fcmp_ordered(better, x, y), builder.fcmp_unordered("uno", x, x))
        return builder.select(first, x, y)

    return emit


def _sign(builder: IRBuilder, x: Value) -> Value:
    zero, one, minus = (ir.Constant(x.type, [value] * LANES) for value in (0.0, 1.0, -1.0))
    below = builder.select(builder.fcmp_ordered("<", x, zero), minus, zero)
    known = builder.select(builder.fcmp_ordered(">", x, zero), one, below)
    return builder.select(builder.fcmp_unordered("uno", x, x), x, known)


def _function(name: str, kind: str) -> Callable[..., Value]:
    suffix = f"v{LANES}f{8 * _BYTES[kind]}"
    return lambda builder, x: _intrinsic(builder, f"llvm.{name}.{suffix}", x)


def _gate(builder: IRBuilder, x: Value, y: Value) -> Value:
    zero, one = (ir.Constant(y.type, [value] * LANES) for value in (0.0, 1.0))
    return builder.fmul(x, builder.select(builder.fcmp_ordered(">", y, zero), one, zero))


def _shift(name: str, kind: str) -> Callable[..., Value]:
    # A shift by all bits or more leaves only the sign.
    def emit(builder: IRBuilder, x: Value, by: Value) -> Value:
        last = ir.Constant(by.type, [8 * _BYTES[kind] - 1] * LANES)
        inside = builder.icmp_unsigned("<=", by, last)
        if name == "right_shift" and kind == "l":
            return builder.ashr(x, builder.select(inside, by, last))
        shifted = (builder.shl if name == "left_shift" else builder.lshr)(x, builder.select(inside, by, last))
        return builder.select(inside, shifted, ir.Constant(x.type, [0] * LANES))

    return emit


def _repeat(builder: IRBuilder) -> Value:
    raise NotImplementedError("the source of a fill is one element, which the loop reads itself")


def _truth(builder: IRBuilder, bits: Value) -> Value:
    return builder.zext(bits, _vector("B"))


def _emitters() -> dict[str, tuple[str, str, Callable[..., Value]]]:
    """Return, by instruction name: the kinds of its sources, the kind of its result, and the function that emits it."""
    table: dict[str, tuple[str, str, Callable[..., Value]]] = {}
    for kind in "fd":
        for name in ("add", "subtract", "multiply", "divide"):
            table[f"{name} {kind}"] = kind * 2, kind, getattr(ir.IRBuilder, f"f{name[:3]}")
        table[f"maximum {kind}"] = kind * 2, kind, _choice(">")
        table[f"minimum {kind}"] = kind * 2, kind, _choice("<")
        table[f"negative {kind}"] = kind, kind, ir.IRBuilder.fneg
        table[f"absolute {kind}"] = kind, kind, _function("fabs", kind)
        table[f"sqrt {kind}"] = kind, kind, _function("sqrt", kind)
        table[f"gate {kind}"] = kind * 2, kind, _gate  # x * (1 where y > 0, else 0)
        table[f"sign {kind}"] = kind, kind, _sign
    for name in ("add", "subtract", "multiply"):
        table[f"{name} l"] = "ll", "l", getattr(ir.IRBuilder, name[:3])
    for kind in "lB":
        for name in ("and", "or", "xor"):
            table[f"bitwise_{name} {kind}"] = (
                kind * 2,
                kind,
                getattr(ir.IRBuilder, f"{name}_" if name != "xor" else name),
            )
        table[f"invert {kind}"] = kind, kind, ir.IRBuilder.not_
        for name in ("left_shift", "right_shift"):
            table[f"{name} {kind}"] = kind * 2, kind, _shift(name, kind)
    for name, sign in {"equal": "==", "greater": ">", "greater_equal": ">="}.items():
        for kind in "fdl":
            compare = ir.IRBuilder.icmp_signed if kind == "l" else ir.IRBuilder.fcmp_ordered
            table[f"{name} {kind}"] = (
                kind * 2,
                "B",
                lambda builder, x, y, compare=compare, sign=sign: _truth(builder, compare(builder, sign, x, y)),
            )
    for kind in "fdl":
        differ = ir.IRBuilder.icmp_signed if kind == "l" else ir.IRBuilder.fcmp_unordered  # a NaN differs from all
        table[f"not_equal {kind}"] = (
            kind * 2,
            "B",
            lambda builder, x, y, differ=differ: _truth(builder, differ(builder, "!=", x, y)),
        )
    for kind in "Bil":
        nothing = ir.Constant(_vector("B"), [0] * LANES)
        table[f"copy {kind}"] = kind, kind, lambda builder, x: x
        table[f"fill {kind}"] = "", kind, _repeat
        table[f"select {kind}"] = (
            f"{kind}{kind}B",
            kind,
            lambda builder, x, y, c, no=nothing: builder.select(builder.icmp_signed("!=", c, no), x, y),
        )
    for source, target, name in (
        *(("B", "f", "uitofp"), ("B", "l", "zext"), ("i", "l", "sext"), ("l", "i", "trunc")),
        *(("l", "f", "sitofp"), ("l", "d", "sitofp"), ("f", "d", "fpext"), ("d", "f", "fptrunc")),
    ):
        cast = getattr(ir.IRBuilder, name)
        table[f"cast {source}{target}"] = (
            source,
            target,
            lambda builder, x, cast=cast, target=target: cast(builder, x, _vector(target)),
        )
    return table


_TABLE = _emitters()
CODES = {name: number for number, name in enumerate(_TABLE)}
"""The code of each instruction by its name and the kinds of its operands, such as ``"add f"``."""


class _Loop:
    """The loop of one instruction over a block: whole vectors, and then a masked one for the remainder."""

    def __init__(self, builder: IRBuilder, name: str, out: Value, sources: tuple[Value, ...], size: Value) -> None:
        self.builder, self.out, self.sources = builder, out, sources
        self.kinds, self.kind, self.emit = _TABLE[name]
        whole = builder.and_(size, _I64(-LANES))
        with cgutils.for_range_slice(builder, _I64(0), whole, _I64(LANES), _I64) as (at, _):
            self.body(at, None)
        with builder.if_then(builder.icmp_signed("<", whole, size)):
            index = ir.Constant(ir.VectorType(_I64, LANES), list(range(LANES)))
            self.body(whole, builder.icmp_signed("<", index, self.spread(builder.sub(size, whole))))

    def spread(self, value: Value) -> Value:
        """Return a vector with `value` in every lane."""
        kind = ir.VectorType(value.type, LANES)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, first, lanes)

    def body(self, at: Value, mask: Value | None) -> None:
        """Emit the instruction for the elements from `at` on."""
        if self.emit is _repeat:
            number = self.builder.inttoptr(self.sources[0], _KINDS[self.kind].as_pointer())
            value = self.spread(self.builder.load(number))
        else:
            pairs = zip(self.sources, self.kinds, strict=False)
            value = self.emit(self.builder, *(self.load(base, at, kind, mask) for base, kind in pairs))
        self.store(value, at, mask)

    def pointer(self, base: Value, at: Value, kind: str) -> Value:
        """Return the address of element `at` of an array of `kind`, as a pointer to a vector."""
        first = self.builder.inttoptr(base, _KINDS[kind].as_pointer())
        return self.builder.bitcast(self.builder.gep(first, [at]), _vector(kind).as_pointer())

    def load(self, base: Value, at: Value, kind: str, mask: Value | None) -> Value:
        """Return a vector of `kind`; with a mask, only the lanes that it selects are read."""
        pointer, align = self.pointer(base, at, kind), _BYTES[kind]
        if mask is None:
            return self.builder.load(pointer, align=align)
        nothing = ir.Constant(_vector(kind), ir.Undefined)
        name = f"llvm.masked.load.{_named(kind)}.p0"
        return _intrinsic(self.builder, name, pointer, ir.IntType(32)(align), mask, nothing, result=_vector(kind))

    def store(self, value: Value, at: Value, mask: Value | None) -> None:
        """Write the result; with a mask, only the lanes that it selects."""
        pointer, align = self.pointer(self.out, at, self.kind), _BYTES[self.kind]
        if mask is None:
            self.builder.store(value, pointer, align=align)
        else:
            name = f"llvm.masked.store.{_named(self.kind)}.p0"
            arguments = (value, pointer, ir.IntType(32)(align), mask)
            _intrinsic(self.builder, name, *arguments, result=ir.VoidType())


def _named(kind: str) -> str:
    return f"v{LANES}{'f' if kind in 'fd' else 'i'}{8 * _BYTES[kind]}"


def _typed_step(context, code, out, a, b, c, size):  # type: ignore[no-untyped-def]
    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        code, out, *sources, size = arguments
        after = builder.append_basic_block("after")
        choice = builder.switch(code, after)
        for name, number in CODES.items():
            block = builder.append_basic_block(name.replace(" ", "_"))
            choice.add_case(_I64(number), block)
            builder.position_at_end(block)
            _Loop(builder, name, out, tuple(sources), size)
            builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


_step = intrinsic(_typed_step)


def _interpret(program, part, parts, thread):  # type: ignore[no-untyped-def]
    # C code for void interpret(const int64_t *program, int64_t part, int64_t parts, int64_t thread)
    size, block, begin, repeated, end = program[0], program[1], program[2], program[3], program[4]
    blocks = (size + block - 1) // block
    at, last = blocks * part // parts * block, min(blocks * (part + 1) // parts * block, size)
    while at < last:
        n = min(block, last - at)
        for i in range(begin, end, INSTRUCTION):
            o, x, y, z = program[i + 1], program[i + 2], program[i + 3], program[i + 4]
            out = program[o] + at * program[o + 1] + thread * program[o + 2]
            a = program[x] + at * program[x + 1] + thread * program[x + 2]
            b = program[y] + at * program[y + 1] + thread * program[y + 2]
            c = program[z] + at * program[z + 1] + thread * program[z + 2]
            _step(program[i], out, a, b, c, n)
        begin = repeated
        at += n


@cache
def _interpreter() -> int:
    """Return the address of the compiled interpreter.

    The calls for one thread and for several use it by address: inlined, it would be compiled for each of them.
    """
    integer = numba.int64
    return address(_interpret, numba.void(numba.types.CPointer(integer), integer, integer, integer))


def bound(program: int, threads: int, kept: object) -> Callable[[], None]:
    """Return a call that runs the program at the address `program` on `threads` threads; it keeps `kept` alive."""
    return called(_interpreter(), program, threads, kept)
