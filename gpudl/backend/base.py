"""The interface between the engine and an array library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import ModuleType
from typing import Any, NoReturn, Protocol

import numpy as np

from gpudl.kernels import registry

Array = Any
Shape = tuple[int, ...]
KernelFunction = registry.KernelFunction
Static = registry.Static
Call = registry.Call
Composed = registry.Composed
Composer = registry.Composer


class BackendError(RuntimeError):
    """A requested backend cannot be used."""


class CaptureError(RuntimeError):
    """Kernel calls cannot be captured as one graph; nothing has been computed."""


class Upload(Protocol):
    """Double-buffered copies from the host that overlap with computation on the device."""

    def buffer(self) -> np.ndarray:
        """Return host memory for the next data; wait until its last content has been copied."""

    def send(self) -> None:
        """Start copying the content of `buffer`."""

    def receive(self, out: Array) -> None:
        """Have the device copy the data that was sent last to `out`, when it has arrived; the host does not wait."""


class OutOfMemoryError(MemoryError):
    """A device is out of memory; the message says what does not fit, how much is free, and what to do.

    Nothing was computed, so that the program can continue once memory has been freed.
    """


def in_words(nbytes: int) -> str:
    """Return a number of bytes in MiB."""
    return f"{nbytes / 2**20:,.1f} MiB"


def no_room(wanted: str, where: str, free: int, why: str) -> OutOfMemoryError:
    """Return the error for `wanted`, which does not fit: how much is free, and what to do."""
    return OutOfMemoryError(
        f"{wanted} does not fit into the memory of {where}, of which {in_words(free)} are free ({why.rstrip('.')}). "
        "Use a smaller batch, or free unneeded objects (del, gc.collect())."
    )


class Backend(Protocol):
    """An array library on a device.

    Attributes:
        name: ``"numpy"`` or ``"cupy"``.
        device: the device of its kernels, as in their registry: ``"cpu"`` or ``"cuda"``.
        xp: the array module itself.
        captures: whether `capture` can turn many calls into one launch.
        index: the number of the device among those of its kind.
    """

    name: str
    device: str
    xp: ModuleType
    captures: bool = False
    index: int = 0

    def active(self) -> AbstractContextManager[object]:
        """Make this device the thread's current one inside a ``with`` block."""
        return nullcontext()

    def activate(self) -> None:
        """Make this device the thread's current one."""
        return

    def out_of_memory(self, error: MemoryError, wanted: str) -> NoReturn:
        """Raise OutOfMemoryError for `wanted`, which does not fit."""
        raise error

    def reserve(self, nbytes: int) -> None:
        """Make sure that `nbytes` of scratch memory can be allocated; raise OutOfMemoryError if they cannot."""
        return

    def free_bytes(self) -> int:
        """Return how many bytes can still be allocated."""
        raise BackendError(f"{self.describe()} does not report its memory.")

    def measuring(self) -> Backend:
        """Return a backend for plans that are never run, whose arrays use no memory if possible."""
        return self

    def empty(self, shape: Shape, dtype: np.dtype) -> Array:
        """Return an uninitialised C-contiguous array, aligned to 64 bytes."""

    def zeros(self, shape: Shape, dtype: np.dtype) -> Array:
        """Return an array of zeros, aligned like those of `empty`."""
        made = self.empty(shape, dtype)
        made[...] = 0
        return made

    def owns(self, value: object) -> bool:
        """Return whether `value` is an array of this backend."""

    def address(self, array: Array) -> int:
        """Return the address of the data of one of this backend's arrays."""

    def asarray(self, value: Array) -> Array:
        """Return a host array, or one of this backend, as an array of this backend."""

    def to_host(self, array: Array) -> np.ndarray:
        """Return a copy in host memory; wait for the device."""

    def set_from_host(self, array: Array, host: np.ndarray) -> None:
        """Set an array from one of the same shape and dtype in host memory, in one transfer."""
        array[...] = host

    def synchronize(self) -> None:
        """Wait until the device has finished its work."""

    def holds(self, nbytes: int) -> bool:
        """Return whether data of `nbytes` fit on the device, with enough memory left for computation."""
        return True

    def upload(self, shape: Shape, dtype: np.dtype) -> Upload:
        """Return a double-buffered upload of arrays of one shape; raise BackendError if the device needs none."""
        raise BackendError(f"{self.describe()} reads the host's memory itself: there is nothing to send.")

    def describe(self) -> str:
        """Return a description of the device."""

    def kernel(self, op: str, arrays: tuple[Array, ...], static: Static) -> Callable[..., None] | None:
        """Return a kernel for `op` that supports these arguments, or None."""
        return registry.find(op, self.device, arrays, static)

    def work_bytes(self, kernel: KernelFunction, arrays: tuple[object, ...], static: Static) -> int:
        """Return how many bytes of scratch memory a plan has to provide for a kernel; `arrays` may be specs."""
        return 0

    def bind(
        self, kernel: KernelFunction, arrays: tuple[Array, ...], static: Static, work: Array | None
    ) -> Callable[[], None]:
        """Return a call without arguments of a kernel on these arrays, for many calls.

        Args:
            kernel: the kernel.
            arrays: its outs and inputs.
            static: its static arguments.
            work: its scratch memory, as many bytes as `work_bytes` says; None lets it have its own.
        """
        return partial(kernel, *arrays, **static)

    def capture(self, calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
        """Return one launch that does what `calls` do; during the capture they compute nothing.

        Raises:
            CaptureError: this is not possible; the message says why.
        """
        raise CaptureError(f"{self.describe()} launches kernels one by one.")

    def composer(self) -> Composer | None:
        """Return what fuses elementwise ops into one kernel, or None."""
        return registry.composer(self.device)
