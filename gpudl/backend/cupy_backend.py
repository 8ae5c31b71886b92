"""CuPy: an NVIDIA GPU, or the reason why there is none to use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from copy import copy
from math import prod
from types import ModuleType
from typing import NoReturn

import numpy as np

from gpudl.backend.base import Array, Backend, CaptureError, OutOfMemoryError, Upload, no_room
from gpudl.backend.detect import detail, usable

_SHARE_OF_DATA = 0.5
_NOWHERE = 512  # an address that no array has, aligned as all of them are


class CupyBackend(Backend):
    """CuPy arrays in the memory of one GPU.

    Args:
        index: the number of the card; the thread's current one by default.

    Raises:
        BackendError: CuPy is missing, or the card does not compute; the text says why and what to do.
    """

    name = "cupy"
    device = "cuda"
    captures = True

    def __init__(self, index: int | None = None) -> None:
        self.xp: ModuleType
        self.xp, self.index = usable(index)

    def active(self) -> AbstractContextManager[object]:
        """Make the card the thread's current one inside a ``with`` block."""
        card: AbstractContextManager[object] = self.xp.cuda.Device(self.index)
        return card

    def activate(self) -> None:
        """Make the card the thread's current one."""
        self.xp.cuda.Device(self.index).use()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return an uninitialised array on the GPU; CuPy's pool aligns to 512 bytes.

        Raises:
            OutOfMemoryError: the card has no room for it.
        """
        try:
            with self.active():
                return self.xp.empty(shape, dtype)
        except MemoryError as error:
            self.out_of_memory(error, f"an array {list(shape)} of {dtype}")

    def owns(self, value: object) -> bool:
        """Tell whether `value` is a CuPy array on this card."""
        return isinstance(value, self.xp.ndarray) and value.data.device_id == self.index

    def address(self, array: Array) -> int:
        """Return where the data of an array begin."""
        return int(array.data.ptr)

    def asarray(self, value: Array) -> Array:
        """Copy an array of the host, or of another card, to this one; an array of this card is returned as it is.

        Raises:
            OutOfMemoryError: the card has no room for it.
        """
        if self.owns(value):
            return value
        if isinstance(value, self.xp.ndarray):
            value = value.get()
        try:
            with self.active():
                return self.xp.asarray(np.asarray(value))
        except MemoryError as error:
            value = np.asarray(value)
            self.out_of_memory(error, f"a copy of an array {list(value.shape)} of {value.dtype}")

    def to_host(self, array: Array) -> np.ndarray:
        """Return a copy in host memory."""
        host: np.ndarray = array.get()
        return host

    def synchronize(self) -> None:
        """Wait for the current stream."""
        with self.active():
            self.xp.cuda.get_current_stream().synchronize()

    def capture(self, calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
        """Return the launch of a CUDA graph of `calls`, on whatever stream is the current one by then.

        CuPy's pools know nothing of graphs, so memory that the calls take for themselves comes from a pool of this
        graph's own, and stays there as long as the graph can be launched.
        """
        cuda = self.xp.cuda
        pool, stream = cuda.MemoryPool(), cuda.Stream(non_blocking=True)
        with cuda.using_allocator(pool.malloc), stream:
            try:
                stream.begin_capture(cuda.runtime.streamCaptureModeRelaxed)  # the pool may have to ask for memory
                try:
                    for call in calls:
                        call()
                except Exception:
                    with suppress(Exception):  # what went wrong may have ended the capture
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
            except Exception as error:  # whatever it was, the calls can still be made one by one
                raise CaptureError(detail(error)) from error

        def launch(kept: object = (pool, stream)) -> None:
            graph.launch()

        return launch

    def holds(self, nbytes: int) -> bool:
        """Tell whether `nbytes` take at most half of what is free: the rest is for weights and what steps compute."""
        return nbytes <= _SHARE_OF_DATA * self.free_bytes()

    def upload(self, shape: tuple[int, ...], dtype: np.dtype) -> Upload:
        """Return what sends arrays of one shape from pinned memory, by a stream of its own, one ahead."""
        from gpudl.backend.upload import PinnedUpload

        return PinnedUpload(self.xp, shape, dtype)

    def describe(self) -> str:
        """Return the GPU's name and the CuPy version."""
        name = self.xp.cuda.runtime.getDeviceProperties(self.index)["name"].decode()
        return f"GPU {self.index} ({name}), CuPy {self.xp.__version__}"

    def reserve(self, nbytes: int) -> None:
        """Take so much and give it back to CuPy's pool, which keeps it."""
        try:
            with self.active():
                self.xp.empty(nbytes, np.uint8)
        except MemoryError as error:
            self.out_of_memory(error, "what kernels need for themselves")

    def free_bytes(self) -> int:
        """Return how much memory can still be had: what is free on the card, and what CuPy's pool keeps unused."""
        with self.active():
            return int(self.xp.cuda.runtime.memGetInfo()[0]) + int(self.xp.get_default_memory_pool().free_bytes())

    def out_of_memory(self, error: MemoryError, wanted: str) -> NoReturn:
        """Raise OutOfMemoryError, in which an error of CuPy becomes a sentence."""
        if isinstance(error, OutOfMemoryError):
            raise error
        raise no_room(wanted, f"GPU {self.index}", self.free_bytes(), detail(error)) from error

    def _nowhere(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return an array at an address where nothing is."""
        nbytes = prod(shape) * dtype.itemsize
        nowhere = self.xp.cuda.UnownedMemory(_NOWHERE, nbytes, None, self.index)
        return self.xp.ndarray(shape, dtype, self.xp.cuda.MemoryPointer(nowhere, 0))

    def measuring(self) -> CupyBackend:
        """Return a backend for the same card that hands out arrays at an address where nothing is."""
        measuring = copy(self)
        vars(measuring).update(empty=self._nowhere, reserve=lambda nbytes: None)
        return measuring
