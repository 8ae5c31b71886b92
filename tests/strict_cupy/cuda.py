"""The double's `cupy.cuda`: one GPU that is none, streams, captures, and kernels compiled by g++."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
from cuda_cpu import BuildError, build

from strict_cupy.array import DevArray
from strict_cupy.pinned import Queue
from strict_cupy.work import CUDARuntimeError, Graph, OutOfMemoryError, here, machine, meter, submit

_MOST_THREADS = 1024
_ALIGNMENT = 512  # of what a pool gives
_VERSION = 13000


class CompileException(Exception):  # noqa: N818 (CuPy's name)
    """What the compiler said about a source that it refused."""


class Device:
    """A card; the thread's current one by default."""

    def __init__(self, device: int | None = None) -> None:
        self.id = here.card if device is None else int(device)
        self.attributes = {"MultiProcessorCount": 132}
        self._before: list[int] = []

    @property
    def compute_capability(self) -> str:
        _set_device(self.id, keep=True)
        return machine.capability

    def __enter__(self) -> Device:
        self._before.append(here.card)
        _set_device(self.id)
        return self

    def __exit__(self, *error: object) -> None:
        here.card = self._before.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __int__(self) -> int:
        return self.id

    def use(self) -> None:
        _set_device(self.id)

    def synchronize(self) -> None:
        meter.synchronize("Device.synchronize")


def _set_device(index: int, *, keep: bool = False) -> None:
    if not 0 <= index < machine.cards:
        raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    if not keep:
        here.card = index


class Event:
    """A point in a stream's work, to wait for."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self._stream: Stream | None = None
        self._number = 0

    def record(self, stream: Stream | None = None) -> None:
        self._stream = stream or get_current_stream()
        self._number = self._stream.queue.given

    def reach(self) -> None:
        if self._stream is not None:
            self._stream.queue.finish(self._number)

    def synchronize(self) -> None:
        meter.refuse("Event.synchronize")
        self.reach()


class Stream:
    """A stream; work is done at once, or kept for a graph during a capture."""

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self._is_null = null
        self.ptr = 0 if null else id(self)
        self._before: list[Stream] = []
        self.queue = Queue()

    def __enter__(self) -> Stream:
        self._before.append(get_current_stream())
        return self.use()

    def __exit__(self, *error: object) -> None:
        self._before.pop().use()

    def use(self) -> Stream:
        _current.streams[here.card] = self
        return self

    def synchronize(self) -> None:
        meter.synchronize("Stream.synchronize")
        self.queue.finish(self.queue.given)

    def wait_event(self, event: Event) -> None:
        event.reach()

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    @property
    def done(self) -> bool:
        meter.refuse("Stream.done")
        return True

    def is_capturing(self) -> bool:
        return meter.graph is not None

    def begin_capture(self, mode: int | None = None) -> None:
        if self._is_null or self is not get_current_stream():
            raise CUDARuntimeError("cannot capture the default stream, or one that is not the current stream")
        meter.refuse("a second capture")
        meter.graph = Graph()

    def end_capture(self) -> Graph:
        graph, meter.graph = meter.graph, None
        if graph is None:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not capturing")
        return graph


Stream.null = Stream(null=True)


class _Current(threading.local):
    """The current stream of each card, for each thread."""

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}


_current = _Current()


def get_current_stream(device_id: int | None = None) -> Stream:
    return _current.streams.get(here.card if device_id is None else device_id, Stream.null)


def is_available() -> bool:
    return True


def __getattr__(name: str) -> Any:
    if name != "cublas":
        raise AttributeError(f"the strict double of cupy.cuda has no {name!r}.")
    from strict_cupy import blas

    return SimpleNamespace(__file__=str(blas.library()))


class MemoryPool:
    """A pool that only counts."""

    def __init__(self, allocator: Callable[[int], Any] | None = None) -> None:
        self._total = 0

    def malloc(self, size: int) -> Any:
        self._total += size
        memory = np.empty(size + _ALIGNMENT, np.uint8)
        return SimpleNamespace(mem=memory, ptr=memory.ctypes.data + -memory.ctypes.data % _ALIGNMENT, size=size)

    def free_bytes(self) -> int:
        return 0

    def used_bytes(self) -> int:
        return self._total

    def total_bytes(self) -> int:
        return self._total

    def free_all_blocks(self, stream: Stream | None = None) -> None:
        meter.refuse("freeing the blocks of a pool")


default_pool = MemoryPool()
alloc = default_pool.malloc


@contextmanager
def using_allocator(allocator: Callable[[int], Any] | None = None) -> Iterator[None]:
    before, meter.pool = meter.pool, getattr(allocator, "__self__", None)
    try:
        yield
    finally:
        meter.pool = before


class RawModule:
    """CUDA C++ compiled by g++ for the CPU; of the options only ``-D`` counts."""

    def __init__(self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        self._code = code
        self._macros = dict(option[2:].partition("=")[::2] for option in options if option.startswith("-D"))

    def get_function(self, name: str) -> RawKernel:
        try:
            module = build(self._code, self._macros)
        except BuildError as error:
            raise CompileException(str(error)) from error
        if name not in module.letters:
            raise CUDARuntimeError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        return RawKernel(module, name)


class RawKernel:
    """A kernel of a `RawModule`. Unlike CuPy's, it takes no Python number: the type must be said."""

    def __init__(self, module: Any, name: str) -> None:
        self._module = module
        self.name = name

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
        if min(*grid, *block) < 1 or prod(block) > _MOST_THREADS:
            raise CUDARuntimeError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        if any(isinstance(arg, np.ndarray) for arg in args):
            raise TypeError(f"Unsupported type {np.ndarray}")
        plain = [arg._host if isinstance(arg, DevArray) else arg for arg in args]
        run = self._module.bind(self.name, grid, block, *plain)
        writes = [arg for arg, letter in zip(plain, self._module.letters[self.name], strict=True) if letter == "w"]
        submit(run, writes=writes)


def _properties(device: int) -> dict[str, Any]:
    return {
        "name": b"strict double",
        "major": 9,
        "minor": 0,
        "totalGlobalMem": machine.room,
        "multiProcessorCount": 132,
    }


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDevice=lambda: here.card,
    setDevice=_set_device,
    getDeviceCount=lambda: machine.cards,
    getDeviceProperties=_properties,
    driverGetVersion=lambda: _VERSION,
    runtimeGetVersion=lambda: _VERSION,
    deviceSynchronize=lambda: meter.synchronize("deviceSynchronize"),
    memGetInfo=lambda: (machine.room - machine.used(here.card), machine.room),
    streamCaptureModeGlobal=0,
    streamCaptureModeThreadLocal=1,
    streamCaptureModeRelaxed=2,
)


class UnownedMemory:
    """Memory that is not CuPy's."""

    def __init__(self, ptr: int, size: int, owner: object, device_id: int = -1) -> None:
        self.ptr, self.size, self.device_id = ptr, size, device_id


class MemoryPointer:
    """An address inside of some memory."""

    def __init__(self, mem: UnownedMemory, offset: int) -> None:
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id


memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
compiler = SimpleNamespace(CompileException=CompileException)
