"""The NumPy backend: the CPU, and the reference for all others."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from copy import copy
from functools import partial
from math import prod
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy as np

from gpudl.backend.base import Array, Backend, OutOfMemoryError, Static, no_room
from gpudl.kernels import registry, team

_UNKNOWN = 4 << 30  # bytes that are assumed to be free if the system does not report it
ALIGNMENT = 64  # bytes: a cache line, and the widest vector of current CPUs


class NumpyBackend(Backend):
    """NumPy arrays in host memory."""

    name = "numpy"
    device = "cpu"
    xp: ModuleType = np

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an uninitialised array, with the alignment that arrays of replayed steps have.

        Raises:
            OutOfMemoryError: the system cannot allocate it.
        """
        return self._made(np.empty, shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an array of zeros, of which the system gives each page when it is first written."""
        return self._made(np.zeros, shape, dtype)

    def _made(self, make: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        size = prod(shape) * dtype.itemsize
        try:
            raw = make(size + ALIGNMENT, np.uint8)
        except MemoryError as error:
            self.out_of_memory(error, f"an array {list(shape)} of {dtype}")
        start = -raw.ctypes.data % ALIGNMENT
        return raw[start : start + size].view(dtype).reshape(shape)

    def measuring(self) -> NumpyBackend:
        """Return a backend whose arrays are at an address without memory."""
        measuring = copy(self)
        vars(measuring).update(empty=_nowhere)
        return measuring

    def out_of_memory(self, error: MemoryError, wanted: str) -> NoReturn:
        """Raise OutOfMemoryError with a message for an error of NumPy."""
        if isinstance(error, OutOfMemoryError):
            raise error
        raise no_room(wanted, "this computer", self.free_bytes(), str(error) or "MemoryError") from error

    def owns(self, value: object) -> bool:
        """Return whether `value` is a NumPy array."""
        return isinstance(value, np.ndarray)

    def address(self, array: np.ndarray) -> int:
        """Return the address of an array's data."""
        return int(array.__array_interface__["data"][0])

    def asarray(self, value: Array) -> np.ndarray:
        """Return `value` as a NumPy array, copied from the GPU if it is there."""
        if hasattr(value, "get") and hasattr(value, "device"):
            value = value.get()
        return np.asarray(value)

    def to_host(self, array: np.ndarray) -> np.ndarray:
        """Return a copy of `array`."""
        return array.copy()

    def synchronize(self) -> None:
        """Do nothing: NumPy's functions are synchronous."""

    def free_bytes(self) -> int:
        """Return how many bytes can still be allocated, as reported by Linux, within the limits of the cgroup."""
        free = [int(n) * 1024 for n in re.findall(r"(?m)^MemAvailable: *(\d+) kB", _read("/proc/meminfo"))]
        limits = [_read(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current")]
        if all(text.isdigit() for text in limits):
            most, taken = map(int, limits)
            free.append(max(most - taken, 0))
        return min(free, default=_UNKNOWN)

    def describe(self) -> str:
        """Return the processor and the number of cores."""
        name = platform.processor() or platform.machine()
        return f"CPU ({name}, {os.cpu_count()} cores), NumPy {np.__version__}"

    def kernel(self, op: str, arrays: tuple[Array, ...], static: Static) -> Callable[..., None] | None:
        """Return a kernel for `op`; if determinism is required, also one in place of BLAS; or None."""
        kernel = registry.find(op, self.device, arrays, static)
        if kernel is None and team.deterministic():
            kernel = registry.find(op, "deterministic", arrays, static)
        return kernel

    def work_bytes(self, kernel: Callable[..., None], arrays: tuple[Array, ...], static: Static) -> int:
        """Return a call without arguments of a kernel on these arrays, with their addresses packed once."""
        from gpudl.kernels.cpu.machine.prebound import needed  # loads Numba, as importing the kernels has done before

        nowhere = (a if isinstance(a, np.ndarray) else _nowhere(a.shape, a.dtype) for a in arrays)
        return needed(partial(kernel, *nowhere, **static))

    def bind(
        self, kernel: Callable[..., None], arrays: tuple[Array, ...], static: Static, work: Array | None
    ) -> Callable[[], None]:
        """Return a call without arguments of a kernel on these arrays, with their addresses packed once."""
        from gpudl.kernels.cpu.machine.prebound import bound

        return bound(partial(kernel, *arrays, **static), work)


class _Nowhere:
    """Bytes at an address that no array has."""

    def __init__(self, nbytes: int) -> None:
        where = {"data": (ALIGNMENT * 8, False), "shape": (nbytes,), "typestr": "|u1", "version": 3}
        self.__array_interface__ = where


def _nowhere(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.asarray(_Nowhere(prod(shape) * dtype.itemsize)).view(dtype).reshape(shape)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
