"""What the device is given to do, what that costs, and what a capture makes of it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

Call = Callable[[], Any]
_ROOM = 2**33


class CUDARuntimeError(RuntimeError):
    """What CUDA itself refuses."""


class OutOfMemoryError(MemoryError):
    """What CuPy raises where a card has no room."""


class Here(threading.local):
    """The current card of each thread."""

    card = 0


@dataclass
class Machine:
    """The cards that the double shows.

    Attributes:
        cards: their number.
        room: the bytes that each has.
        taken: the bytes that arrays take on each, by the identity of what owns them.
    """

    cards: int = 1
    room: int = _ROOM
    taken: dict[int, dict[int, int]] = field(default_factory=dict)

    def reset(self) -> None:
        self.cards, self.room, self.taken = 1, _ROOM, {}
        here.card = 0

    def used(self, card: int) -> int:
        return sum(self.taken.get(card, {}).values())

    def allocate(self, nbytes: int) -> None:
        """Raise as CuPy does where the current card has no room."""
        used = self.used(here.card)
        if used + nbytes > self.room:
            raise OutOfMemoryError(f"Out of memory allocating {nbytes:,} bytes (allocated so far: {used:,} bytes).")

    def own(self, array: np.ndarray) -> None:
        """Count an array that owns its memory until it is freed."""
        taken = self.taken.setdefault(here.card, {})
        if array.base is None and id(array) not in taken:
            self.allocate(array.nbytes)
            taken[id(array)] = array.nbytes
            weakref.finalize(array, taken.pop, id(array))


here = Here()
machine = Machine()


@dataclass
class Graph:
    """What was launched during a capture, to be launched again as a whole."""

    nodes: list[Call] = field(default_factory=list)
    pools: list[weakref.ref[Any]] = field(default_factory=list)
    kept: Any = None  # what a test wants to live as long

    def launch(self, stream: Any = None) -> None:
        meter.refuse("a graph launch")
        if any(pool() is None for pool in self.pools):
            raise CUDARuntimeError("cudaErrorIllegalAddress: a graph uses memory whose pool is gone")
        meter.launches += 1
        with np.errstate(all="ignore"):
            for node in self.nodes:
                node()


@dataclass
class Meter:
    """Counts of what costs time, and the graph that is being captured, if one is."""

    host_to_device: int = 0
    device_to_host: int = 0
    synchronizations: int = 0
    launches: int = 0
    graph: Graph | None = None
    pool: Any = None  # that `using_allocator` has chosen

    def reset(self) -> None:
        for each in fields(self):
            setattr(self, each.name, each.default)

    def refuse(self, what: str) -> None:
        """Raise where CUDA or CuPy would: during a capture."""
        if self.graph is not None:
            raise CUDARuntimeError(
                f"cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing: {what}"
            )

    def allocate(self) -> None:
        """Take memory: during a capture from a pool that nobody else takes from, and that outlives the graph."""
        if self.graph is not None:
            if self.pool is None:
                self.refuse("memory from the default pool, which may give it to others before the graph is launched")
            self.graph.pools.append(weakref.ref(self.pool))

    def copy_in(self) -> None:
        self.refuse("a copy from the host")
        self.host_to_device += 1

    def synchronize(self, what: str = "synchronize") -> None:
        self.refuse(what)
        self.synchronizations += 1

    def copy_out(self, what: str) -> None:
        self.synchronize(what)
        self.device_to_host += 1


meter = Meter()


def submit(call: Call, reads: Sequence[np.ndarray] = (), writes: Sequence[np.ndarray] = ()) -> Any:
    """Do a piece of device work: now, or, during a capture, when the graph is launched.

    A call that writes none of its arguments makes a new array. Its shape is needed at once, so a capture
    computes it and then spoils it. A view of an argument is no work for the device.
    """
    graph = meter.graph
    if writes and graph is not None:
        graph.nodes.append(call)
        return writes[0] if len(writes) == 1 else tuple(writes)
    with np.errstate(all="ignore"):
        result = call()
    made = result if isinstance(result, (tuple, list)) else (result,)
    if not writes and not all(_is_new(each, reads) for each in made):
        return result
    meter.launches += 1
    if graph is None or writes:
        return result
    meter.allocate()
    kept = [np.asarray(each) for each in made]
    graph.nodes.append(lambda: _refill(kept, call()))
    for each in kept:
        spoil(each)
    return type(result)(kept) if made is result else kept[0]


def _is_new(value: Any, reads: Sequence[np.ndarray]) -> bool:
    if isinstance(value, np.ndarray):
        return value.size > 0 and not any(np.may_share_memory(value, each) for each in reads)
    return isinstance(value, np.generic)


def _refill(kept: Sequence[np.ndarray], result: Any) -> None:
    for old, new in zip(kept, result if isinstance(result, (tuple, list)) else (result,), strict=True):
        np.copyto(old, new)


def spoil(array: np.ndarray, integer: int = 0) -> None:
    """Fill with NaN, or with `integer` where there is none."""
    array.fill(np.nan if array.dtype.kind in "fcV" else integer)


def refuse_blas() -> None:
    """Raise as CuPy does when cuBLAS is called during a capture."""
    if meter.graph is not None:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
