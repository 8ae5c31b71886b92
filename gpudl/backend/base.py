"""What the engine asks of an array library."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from gpudl.kernels import registry

Array = Any
Shape = tuple[int, ...]
Kernel = registry.Kernel
Call = registry.Call
Composed = registry.Composed
Composer = registry.Composer


class BackendError(RuntimeError):
    """A backend that was asked for cannot be used here."""


class Backend(Protocol):
    """An array library on a device.

    Attributes:
        name: ``"numpy"`` or ``"cupy"``.
        device: where its kernels run, as the table of twins calls it: ``"cpu"`` or ``"cuda"``.
        xp: the array module itself.
    """

    name: str
    device: str
    xp: Any

    def empty(self, shape: Shape, dtype: np.dtype) -> Array:
        """Return an uninitialised C-contiguous array whose data begin at a multiple of 64 bytes."""

    def owns(self, value: object) -> bool:
        """Tell whether `value` is an array of this backend."""

    def asarray(self, value: Any) -> Array:
        """Return a host array, or one of this backend, as an array of this backend."""

    def to_host(self, array: Array) -> np.ndarray:
        """Return a copy in host memory; waits for the device."""

    def synchronize(self) -> None:
        """Wait until the device has finished what it was given."""

    def describe(self) -> str:
        """Return the device in words."""

    def twin(self, op: str, arrays: tuple[Array, ...], static: dict[str, Any]) -> Callable[..., None] | None:
        """Return a faster kernel for `op` that takes these arguments, or None."""
        return registry.find(op, self.device, arrays, static)

    def bind(self, kernel: Kernel, arrays: tuple[Array, ...], static: dict[str, Any]) -> Callable[[], None]:
        """Return a call without arguments of a twin on these arrays, to be made many times."""
        return partial(kernel, *arrays, **static)

    def composer(self) -> Composer | None:
        """Return what makes one kernel of several elementwise ops, or None."""
        return registry.composer(self.device)
