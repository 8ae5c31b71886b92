"""Double buffering: while the device computes with one batch, the next one is on its way."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend.base import Array


class _Slot:
    """A buffer on each side, and the events after which each of them may be written again."""

    def __init__(self, cupy: ModuleType, shape: tuple[int, ...], dtype: np.dtype) -> None:
        import cupyx

        self.host: np.ndarray = cupyx.empty_pinned(shape, dtype)
        self.device = cupy.empty(shape, dtype)
        self.copied = cupy.cuda.Event(disable_timing=True)
        self.read = cupy.cuda.Event(disable_timing=True)


class PinnedUpload:
    """An `Upload` from pinned memory, which the card fetches by itself, on a stream of its own.

    Args:
        cupy: the module.
        shape: of what is sent.
        dtype: of what is sent.
    """

    def __init__(self, cupy: ModuleType, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._cupy = cupy
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._slots = [_Slot(cupy, shape, dtype) for _ in range(2)]
        # What CuPy's pool gave may still be read, on the current stream, by work that was given before.
        for slot in self._slots:
            slot.read.record()

    def buffer(self) -> np.ndarray:
        """Return pinned memory to fill; waits until its last content has been copied."""
        self._slots.reverse()
        slot = self._slots[0]
        slot.copied.synchronize()
        return slot.host

    def send(self) -> None:
        """Start to copy the buffer, after the device has read what was there before."""
        slot = self._slots[0]
        self._stream.wait_event(slot.read)
        slot.device.set(slot.host, stream=self._stream)
        slot.copied.record(self._stream)

    def receive(self, out: Array) -> None:
        """Let the current stream copy what was sent last into `out`."""
        slot = self._slots[0]
        self._cupy.cuda.get_current_stream().wait_event(slot.copied)
        out[...] = slot.device
        slot.read.record()
