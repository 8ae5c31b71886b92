"""The common backend of the inputs of an op."""

from __future__ import annotations

from gpudl import backend
from gpudl.backend import Array, Backend


def common_backend(op: str, arrays: tuple[Array, ...]) -> Backend:
    """Return the backend of the arrays among the inputs of the op called `op`; the current one if there are none.

    Raises:
        TypeError: arrays on two devices.
    """
    on = backend.of(arrays[0]) if arrays else backend.current()
    for array in arrays[1:]:
        if not on.owns(array):
            raise apart(op, on, array)
    return on


def apart(op: str, on: Backend, array: Array) -> TypeError:
    """Return the error for an op on `on` that got an array on another device."""
    return TypeError(
        f"{op} got arrays on two devices ({on.describe()}; {backend.of(array).describe()}). Convert one: "
        "gpudl.convert_to_tensor(x.numpy()) puts it on the current backend."
    )
