"""The CuPy backend: an NVIDIA GPU, or the reason why it cannot be used."""

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
_NOWHERE = 512  # an address that no array has, aligned like all arrays


class CupyBackend(Backend):
    """CuPy arrays in the memory of one GPU.

    Args:
        index: the number of the GPU; the thread's current one by default.

    Raises:
        BackendError: CuPy is missing, or the GPU does not compute; the message says why and what to do.
    """

    name = "cupy"
    device = "cuda"
    captures = True

    def __init__(self, index: int | None = None) -> None:
        self.xp: ModuleType
        self.xp, self.index = usable(index)

    def active(self) -> AbstractContextManager[object]:
        """Make the GPU the thread's current device inside a ``with`` block."""
        card: AbstractContextManager[object] = self.xp.cuda.Device(self.index)
        return card

    def activate(self) -> None:
        """Make the GPU the thread's current device."""
        self.xp.cuda.Device(self.index).use()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return an uninitialised array on the GPU; CuPy's pool aligns to 512 bytes.

        Raises:
            OutOfMemoryError: it does not fit into the memory of the GPU.
        """
        try:
            with self.active():
                return self.xp.empty(shape, dtype)
        except MemoryError as error:
            self.out_of_memory(error, f"an array {list(shape)} of {dtype}")

    def owns(self, value: object) -> bool:
        """Return whether `value` is a CuPy array on this GPU."""
        return isinstance(value, self.xp.ndarray) and value.data.device_id == self.index

    def address(self, array: Array) -> int:
        """Return the address of an array's data."""
        return int(array.data.ptr)

    def asarray(self, value: Array) -> Array:
        """Copy an array of the host, or of another GPU, to this one; return an array of this GPU unchanged.

        Raises:
            OutOfMemoryError: it does not fit into the memory of the GPU.
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

    def set_from_host(self, array: Array, host: np.ndarray) -> None:
        """Set an array from one in host memory, without another one on the GPU."""
        with self.active():
            array.set(host)

    def synchronize(self) -> None:
        """Wait for the current stream."""
        with self.active():
            self.xp.cuda.get_current_stream().synchronize()

    def capture(self, calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
        """Return the launch of a CUDA graph of `calls`, on the stream that is current when it is launched.

        CuPy's pools know nothing of graphs, so that memory that the calls allocate comes from a pool of this graph's
        own, and stays there as long as the graph can be launched.
        """
        cuda = self.xp.cuda
        pool, stream = cuda.MemoryPool(), cuda.Stream(non_blocking=True)
        with cuda.using_allocator(pool.malloc), stream:
            try:
                stream.begin_capture(cuda.runtime.streamCaptureModeRelaxed)  # the pool may have to allocate memory
                try:
                    for call in calls:
                        call()
                except Exception:
                    with suppress(Exception):  # the error may have ended the capture
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
            except Exception as error:  # whatever the reason, the calls can still be made one by one
                raise CaptureError(detail(error)) from error

        def launch(kept: object = (pool, stream)) -> None:
            graph.launch()

        return launch

    def holds(self, nbytes: int) -> bool:
        """Return whether `nbytes` are at most half of the free memory, so that enough is left for steps."""
        return nbytes <= _SHARE_OF_DATA * self.free_bytes()

    def upload(self, shape: tuple[int, ...], dtype: np.dtype) -> Upload:
        """Return a double-buffered upload of arrays of one shape from pinned memory, on a stream of its own."""
        from gpudl.backend.upload import PinnedUpload

        return PinnedUpload(self.xp, shape, dtype)

    def describe(self) -> str:
        """Return the GPU's name and the CuPy version."""
        name = self.xp.cuda.runtime.getDeviceProperties(self.index)["name"].decode()
        return f"GPU {self.index} ({name}), CuPy {self.xp.__version__}"

    def reserve(self, nbytes: int) -> None:
        """Allocate `nbytes` and return them to CuPy's pool, which keeps them."""
        try:
            with self.active():
                self.xp.empty(nbytes, np.uint8)
        except MemoryError as error:
            self.out_of_memory(error, "the scratch memory of kernels")

    def free_bytes(self) -> int:
        """Return how many bytes can still be allocated: free memory of the GPU, and unused memory of CuPy's pool."""
        with self.active():
            return int(self.xp.cuda.runtime.memGetInfo()[0]) + int(self.xp.get_default_memory_pool().free_bytes())

    def out_of_memory(self, error: MemoryError, wanted: str) -> NoReturn:
        """Raise OutOfMemoryError with a message for an error of CuPy."""
        if isinstance(error, OutOfMemoryError):
            raise error
        raise no_room(wanted, f"GPU {self.index}", self.free_bytes(), detail(error)) from error

    def _nowhere(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return an array at an address without memory."""
        nbytes = prod(shape) * dtype.itemsize
        nowhere = self.xp.cuda.UnownedMemory(_NOWHERE, nbytes, None, self.index)
        return self.xp.ndarray(shape, dtype, self.xp.cuda.MemoryPointer(nowhere, 0))

    def measuring(self) -> CupyBackend:
        """Return a backend for the same GPU whose arrays are at an address without memory."""
        measuring = copy(self)
        vars(measuring).update(empty=self._nowhere, reserve=lambda nbytes: None)
        return measuring
