"""Atomic operations on words at integer addresses, and calls of C functions by address."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import binding, ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.core.typing.templates import Signature

from .vectors import Context, cgutils, intrinsic

_I64 = ir.IntType(64)
_ARCHITECTURE = binding.get_process_triple().partition("-")[0]


def _word(builder: IRBuilder, address: Value) -> Value:
    return builder.inttoptr(address, _I64.as_pointer())


@intrinsic
def load(context, address):  # type: ignore[no-untyped-def]
    """Load the word at `address`."""

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        return builder.load_atomic(_word(builder, arguments[0]), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def store(context, address, value):  # type: ignore[no-untyped-def]
    """Store `value` in the word at `address`."""

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        builder.store_atomic(arguments[1], _word(builder, arguments[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def add(context, address, value):  # type: ignore[no-untyped-def]
    """Add `value` to the word at `address`, and return its previous value."""

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        return builder.atomic_rmw("add", _word(builder, arguments[0]), arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def swap(context, address, old, new):  # type: ignore[no-untyped-def]
    """Store `new` in the word at `address` if it is `old`, and return whether it was (compare and swap)."""

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        both = builder.cmpxchg(_word(builder, arguments[0]), arguments[1], arguments[2], "seq_cst", "seq_cst")
        return builder.extract_value(both, 1)

    return types.boolean(*[types.int64] * 3), codegen


@intrinsic
def pause(context):  # type: ignore[no-untyped-def]
    """Hint to the processor that this is a spin loop."""

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        if _ARCHITECTURE in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        elif _ARCHITECTURE in ("aarch64", "arm64"):
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
            hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.hint")
            builder.call(hint, [ir.IntType(32)(1)])  # yield
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def call4(context, function, a, b, c, d):  # type: ignore[no-untyped-def]
    """Call a C function of up to four integers or pointers."""

    def codegen(context: Context, builder: IRBuilder, signature: Signature, arguments: Sequence[Value]) -> Value:
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 4)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen
