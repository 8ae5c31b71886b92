"""The double's `cupy.cuda`: one GPU that is none, streams and captures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from strict_cupy.pinned import Queue
from strict_cupy.raw import CompileException, card
from strict_cupy.work import CUDARuntimeError, Graph, OutOfMemoryError, here, machine, meter

_ALIGNMENT = 512  # of what a pool gives
_VERSION = 13000


class Device:
    """A card; the thread's current one by default."""

    def __init__(self, device: int | None = None) -> None:
        self.id = here.card if device is None else int(device)
        self._before: list[int] = []

    @property
    def compute_capability(self) -> str:
        _set_device(self.id, keep=True)
        return "".join(map(str, card.capability))

    @property
    def attributes(self) -> dict[str, int]:
        return card.attributes

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


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDevice=lambda: here.card,
    setDevice=_set_device,
    getDeviceCount=lambda: machine.cards,
    getDeviceProperties=lambda device: card.properties,
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
