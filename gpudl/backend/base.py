"""What the engine asks of an array library."""

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
Kernel = registry.Kernel
Static = registry.Static
Call = registry.Call
Composed = registry.Composed
Composer = registry.Composer


class BackendError(RuntimeError):
    """A backend that was asked for cannot be used here."""


class CaptureError(RuntimeError):
    """Kernel calls that the device cannot be given as one graph; nothing has been computed."""


class Upload(Protocol):
    """Copies from the host that overlap with what the device computes: two buffers take turns."""

    def buffer(self) -> np.ndarray:
        """Return host memory to fill with what is to be sent next; waits until its last content has been copied."""

    def send(self) -> None:
        """Start to copy what `buffer` was filled with."""

    def receive(self, out: Array) -> None:
        """Let the device copy what was sent last into `out`, as soon as it is there; the host does not wait."""


class OutOfMemoryError(MemoryError):
    """A device has no room for what was asked; the text says for what, what is free, and what to do.

    Nothing was computed, so that all goes on as before once there is room.
    """


def in_words(nbytes: int) -> str:
    """Return a number of bytes in MiB."""
    return f"{nbytes / 2**20:,.1f} MiB"


def no_room(wanted: str, where: str, free: int, why: str) -> OutOfMemoryError:
    """Return the error that says that `wanted` found no room, how much is free, and what to do."""
    return OutOfMemoryError(
        f"{wanted} does not fit into the memory of {where}, of which {in_words(free)} are free ({why.rstrip('.')}). "
        "Use a smaller batch, or free what is no longer needed (del, gc.collect())."
    )


class Backend(Protocol):
    """An array library on a device.

    Attributes:
        name: ``"numpy"`` or ``"cupy"``.
        device: where its kernels run, as the table of twins calls it: ``"cpu"`` or ``"cuda"``.
        xp: the array module itself.
        captures: whether many calls can become one launch, by `capture`.
        index: the number of the device, of those of its kind.
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
        """Raise the error that says that `wanted` found no room."""
        raise error

    def reserve(self, nbytes: int) -> None:
        """See to it that so much can be taken for a short time; raises OutOfMemoryError where it cannot."""
        return

    def free_bytes(self) -> int:
        """Return how much memory can still be had."""
        raise BackendError(f"{self.describe()} does not count its memory.")

    def measuring(self) -> Backend:
        """Return a backend for plans that are never run, whose arrays take no memory where that can be avoided."""
        return self

    def empty(self, shape: Shape, dtype: np.dtype) -> Array:
        """Return an uninitialised C-contiguous array whose data begin at a multiple of 64 bytes."""

    def owns(self, value: object) -> bool:
        """Tell whether `value` is an array of this backend."""

    def address(self, array: Array) -> int:
        """Return where the data of one of this backend's arrays begin."""

    def asarray(self, value: Array) -> Array:
        """Return a host array, or one of this backend, as an array of this backend."""

    def to_host(self, array: Array) -> np.ndarray:
        """Return a copy in host memory; waits for the device."""

    def synchronize(self) -> None:
        """Wait until the device has finished what it was given."""

    def holds(self, nbytes: int) -> bool:
        """Tell whether data of `nbytes` can lie on the device as a whole, with room for the work on them."""
        return True

    def upload(self, shape: Shape, dtype: np.dtype) -> Upload:
        """Return what sends arrays of one shape, one ahead; raises BackendError where data need not travel."""
        raise BackendError(f"{self.describe()} reads the host's memory itself: there is nothing to send.")

    def describe(self) -> str:
        """Return the device in words."""

    def twin(self, op: str, arrays: tuple[Array, ...], static: Static) -> Callable[..., None] | None:
        """Return a faster kernel for `op` that takes these arguments, or None."""
        return registry.find(op, self.device, arrays, static)

    def bind(self, kernel: Kernel, arrays: tuple[Array, ...], static: Static) -> Callable[[], None]:
        """Return a call without arguments of a twin on these arrays, to be made many times."""
        return partial(kernel, *arrays, **static)

    def capture(self, calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
        """Return one launch that does what `calls` do; now they compute nothing.

        Raises:
            CaptureError: the device cannot do that; the text says why.
        """
        raise CaptureError(f"{self.describe()} launches kernels one by one.")

    def composer(self) -> Composer | None:
        """Return what makes one kernel of several elementwise ops, or None."""
        return registry.composer(self.device)
