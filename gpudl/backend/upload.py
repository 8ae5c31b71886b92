"""Double-buffered uploads: while the device computes with one batch, the next one is copied."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend.base import Array


class _Slot:
    """A buffer on the host and one on the device, and the events after which each may be written again."""

    def __init__(self, cupy: ModuleType, shape: tuple[int, ...], dtype: np.dtype) -> None:
        import cupyx

        self.host: np.ndarray = cupyx.empty_pinned(shape, dtype)
        self.device = cupy.empty(shape, dtype)
        self.copied = cupy.cuda.Event(disable_timing=True)
        self.read = cupy.cuda.Event(disable_timing=True)


class PinnedUpload:
    """An `Upload` from pinned memory by asynchronous copies on a stream of its own.

    Args:
        cupy: the module.
        shape: shape of the arrays.
        dtype: dtype of the arrays.
    """

    def __init__(self, cupy: ModuleType, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._cupy = cupy
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._slots = [_Slot(cupy, shape, dtype) for _ in range(2)]
        # Memory of CuPy's pool may still be read, on the current stream, by work that was launched before.
        for slot in self._slots:
            slot.read.record()

    def buffer(self) -> np.ndarray:
        """Return pinned memory to fill; wait until its last content has been copied."""
        self._slots.reverse()
        slot = self._slots[0]
        slot.copied.synchronize()
        return slot.host

    def send(self) -> None:
        """Start copying the buffer, after the device has read its previous content."""
        slot = self._slots[0]
        self._stream.wait_event(slot.read)
        slot.device.set(slot.host, stream=self._stream)
        slot.copied.record(self._stream)

    def receive(self, out: Array) -> None:
        """Copy the data that was sent last to `out`, on the current stream."""
        slot = self._slots[0]
        self._cupy.cuda.get_current_stream().wait_event(slot.copied)
        out[...] = slot.device
        slot.read.record()
