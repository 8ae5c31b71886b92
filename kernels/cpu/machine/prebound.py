"""Compiled parallel loops with C's calling convention: with the arguments packed once, a call costs next to nothing.

Numba's own parallel loops take three times as long to compile as plain ones. Here the body of a loop is compiled as a
plain function of a share of the work, which the thread team, the same for all loops, calls by its address.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial
from operator import index
from threading import local
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from llvmlite.ir import IRBuilder, Type, Value
from numba import typeof, types
from numba.core.compiler_lock import global_compiler_lock

from ... import team
from . import threads
from .atomics import call4
from .cache import kept
from .scratch import within
from .thread_team import shared
from .threads import WITHOUT_WRAPPERS, inner

_I64 = ir.IntType(64)
_number = 0
Argument: TypeAlias = "np.ndarray | float | tuple[Argument, ...]"
"""What a kernel is given: an array, a number, or a record of these."""


def _alone(entry, packed):  # type: ignore[no-untyped-def]
    call4(entry, packed, 0, 1, 0)


alone = kept(_alone, **WITHOUT_WRAPPERS)


class ParallelLoop:
    """A function that does one worker's share of the work, `body(worker, workers, *args)`; compiled when first called.

    It divides the work into pieces that do not depend on the number of workers, see `share`, and is compiled without
    reordering of floating-point arithmetic, so that the result is bitwise the same for any number of workers. There are
    several workers per thread, see `thread_team`. A body that needs scratch memory per thread has the signature
    `body(worker, workers, thread, *args)`.
    """

    def __init__(self, body: Callable[..., None]) -> None:
        self.body = kept(body, **WITHOUT_WRAPPERS)
        self.first = (0, 1, 0) if _has_thread(body) else (0, 1)
        self._entries: dict[object, int] = {}  # by the types of the arguments

    def __call__(self, work: int, *args: Argument) -> None:
        """Run on `args`, on all threads that gpudl may use if `work`, in elements, is large enough to wake them."""
        count = 1 if work < threads.PARALLEL_FROM else team.size()
        if _collected.starts is not None:
            _collected.starts.append(partial(self._bound, count, args))
        elif count == 1:
            self.body(*self.first, *args)
        else:
            self._bound(count, args)()

    def _bound(self, count: int, args: tuple[Argument, ...]) -> Callable[[], None]:
        """Return a call without arguments of the compiled body on `count` threads."""
        numbers = np.array(list(_packed(args)), np.int64)
        alike = tuple(map(_looks, args))
        if alike not in self._entries:
            self._entries[alike] = _entry(self.body, (*map(typeof, self.first), *map(typeof, args)))
        return called(self._entries[alike], numbers.ctypes.data, count, (numbers, args))


def _looks(arg: Argument) -> object:
    """Return what determines Numba's type of an argument; asking Numba itself takes ten times as long."""
    if isinstance(arg, np.ndarray):
        return arg.dtype, arg.ndim, arg.flags.num
    return tuple(map(_looks, arg)) if isinstance(arg, tuple) else type(arg)


def _has_thread(body: Any) -> bool:
    return bool(body.__code__.co_varnames[2] == "thread")


Bind = Callable[[], Callable[[], None]]


class _Collected(local):
    starts: list[Bind] | None = None


_collected = _Collected()


def _started(run: Callable[[], None], memory: np.ndarray | None) -> tuple[list[Bind], int] | None:
    """Return functions that bind each parallel loop that `run` calls, and the bytes of scratch memory that they need.

    The result is None if `run` has to run at every replay.
    """
    starts = _collected.starts = []
    try:
        with within(memory) as here:
            run()
            return starts, here.taken
    except _Unbound:
        return None
    finally:
        _collected.starts = None


def needed(run: Callable[[], None]) -> int:
    """Return how many bytes of scratch memory the kernels that `run` calls need; nothing is computed."""
    found = _started(run, None)
    return 0 if found is None else found[1]


def bound(run: Callable[[], None], work: np.ndarray | None) -> Callable[[], None]:
    """Return a call that does what `run` does; if `run` only calls parallel loops, their arguments are bound now.

    Args:
        run: calls kernels.
        work: their scratch memory; None for new memory for each.
    """
    found = _started(run, work)
    calls = [] if found is None else [bind() for bind in found[0]]
    if len(calls) < 2:
        return calls[0] if calls else run

    def together() -> None:
        for call in calls:
            call()

    return together


class _Unbound(Exception):  # noqa: N818 (no error)
    pass


def each_time() -> None:
    """Declare that the caller does more than call parallel loops, so that it has to run at every replay."""
    if _collected.starts is not None:
        raise _Unbound


def start(bind: Bind) -> None:
    """Call the result of `bind`, or, while a plan is being made, leave that to the plan."""
    if _collected.starts is not None:
        _collected.starts.append(bind)
    else:
        bind()()


@inner
def share(count: int | np.int64, worker: int, workers: int) -> range:
    """Return the range of pieces of one worker, out of `count`."""
    return range(worker * count // workers, (worker + 1) * count // workers)


def called(entry: int, packed: int, count: int, kept: object) -> Callable[[], None]:
    """Return a call without arguments of an entry point, see `_entry`, on `count` threads.

    It keeps a reference to `kept`, the memory that it works on.
    """
    call: Any = partial(alone, entry, packed) if count == 1 else shared(entry, packed, count)
    call.kept = kept if count == 1 else (call.kept, kept)
    return call  # type: ignore[no-any-return]


def _packed(args: tuple[Argument, ...]) -> Iterator[int]:
    """Yield the integers that an entry point reads: address, shape and strides of an array, the bits of a number."""
    for arg in args:
        if isinstance(arg, tuple):
            yield from _packed(arg)
        elif isinstance(arg, np.ndarray):
            yield from (arg.ctypes.data, *arg.shape, *arg.strides)
        elif isinstance(arg, float):
            yield struct.unpack("q", struct.pack("d", arg))[0]
        else:
            yield index(arg)  # raises for a NumPy float, whose bits this would not be


def _entry(body: object, kinds: tuple[Type, ...]) -> int:
    """Return the address of a C function for `body`: void entry(packed, worker, workers, thread), all int64."""
    entries = body.__dict__.setdefault("entries", {})
    if kinds not in entries:
        entries[kinds] = _compiled(body, kinds)
    return int(entries[kinds][0])


@global_compiler_lock  # type: ignore[untyped-decorator]
def _compiled(body: Any, kinds: tuple[Type, ...]) -> tuple[int, object]:
    global _number  # noqa: PLW0603 (names of functions must be unique)
    body.compile(kinds)
    result = body.overloads[kinds]
    context, description = result.target_context, result.fndesc
    _number += 1
    library = context.codegen().create_library(f"entry{_number}")
    module = library.create_ir_module(f"entry{_number}")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64] * 4), f"gpudl_entry_{_number}")
    builder = ir.IRBuilder(function.append_basic_block())
    packed = builder.inttoptr(function.args[0], _I64.as_pointer())
    position = iter(range(1 << 20))

    def number() -> Value:
        return builder.load(builder.gep(packed, [_I64(next(position))]))

    first = 3 if _has_thread(body.py_func) else 2
    values = [*function.args[1 : 1 + first], *(_value(context, builder, kind, number) for kind in kinds[first:])]
    address = result.library.get_pointer_to_function(description.llvm_func_name)
    kind = context.call_conv.get_function_type(description.restype, description.argtypes)
    callee = builder.inttoptr(_I64(address), kind.as_pointer())
    context.call_conv.call_function(builder, callee, description.restype, description.argtypes, values)
    builder.ret_void()
    library.add_ir_module(module)
    library.finalize()
    return library.get_pointer_to_function(function.name), (library, result)


def _value(context: Any, builder: IRBuilder, kind: Type, number: Callable[[], Value]) -> Value:
    """Return a value of Numba's type `kind`, read from the packed numbers."""
    inside = getattr(kind, "types", None)  # for a tuple
    if inside is not None:
        return context.make_tuple(builder, kind, [_value(context, builder, k, number) for k in inside])
    if not isinstance(kind, types.Array):
        whole = number()
        if isinstance(kind, types.Float):
            return builder.bitcast(whole, ir.DoubleType())
        wanted = context.get_value_type(kind)
        return whole if wanted == _I64 else builder.trunc(whole, wanted)
    array = context.make_array(kind)(context, builder)
    data = builder.inttoptr(number(), context.get_data_type(kind.dtype).as_pointer())
    shape, strides = ([number() for _ in range(kind.ndim)] for _ in range(2))
    size = _I64(1)
    for length in shape:
        size = builder.mul(size, length)
    array.data = data
    array.shape = _several(builder, shape)
    array.strides = _several(builder, strides)
    array.nitems = size
    array.itemsize = _I64(kind.dtype.bitwidth // 8 if hasattr(kind.dtype, "bitwidth") else 1)
    array.meminfo = ir.Constant(array.meminfo.type, None)
    array.parent = ir.Constant(array.parent.type, None)
    return array._getvalue()


def _several(builder: IRBuilder, values: list[Value]) -> Value:
    whole = ir.Constant(ir.ArrayType(_I64, len(values)), ir.Undefined)
    for place, value in enumerate(values):
        whole = builder.insert_value(whole, value, place)
    return whole
