"""What the engine asks of an array library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from gpudl.kernels import registry

Array = Any
Shape = tuple[int, ...]


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
