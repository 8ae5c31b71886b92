"""How kernels are compiled, and how they divide a flat array."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numba.core import event

F = TypeVar("F", bound=Callable[..., object])

PARALLEL_FROM = 1 << 17
"""Elements of light work from which on all threads are used: that costs microseconds, and far more to wake a thread."""

BLOCK = 4096
"""Elements of a flat array that one thread processes at a time, whatever the number of threads."""

WITHOUT_WRAPPERS: Any = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER: Any = {**WITHOUT_WRAPPERS, "forceinline": True, "no_cpython_wrapper": True}
"""Options for Numba under which a function is inlined into its callers, without wrappers for Python."""


def inner(function: F) -> F:
    """Compile a helper that is inlined into the kernels that call it, so that LLVM can optimise whole loops."""
    compiled: Any = njit(**INNER)(function)
    return cast(F, compiled)


_KERNELS = f"{__name__.rpartition('.cpu.')[0]}."


class _FirstCompilation(event.Listener):
    """Logs once per process that kernels are being compiled, since the program seems to hang for seconds."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: event.Event) -> None:
        """Log if Numba begins to compile a kernel that it has not found in its cache."""
        compiled = event.data["dispatcher"]
        part = compiled.targetoptions.get("forceinline")  # inlined functions are not cached separately
        if self._said or part or not compiled.py_func.__module__.startswith(_KERNELS):
            return
        self._said = True
        folder = compiled.stats.cache_path
        logging.getLogger("gpudl").warning(
            "gpudl: compiling kernels for this machine, %s",
            f"once; later starts take them from the cache ({folder})."
            if folder
            else "at every start: set NUMBA_CACHE_DIR to a writable folder to cache them.",
        )

    def on_end(self, event: event.Event) -> None:
        """Do nothing."""


_register: Any = event.register  # untyped
_register("numba:compile", _FirstCompilation())


@inner
def piece(block: int, size: int) -> tuple[np.uintp, np.uintp]:
    """Return the offsets at which block `block` of a flat array of `size` elements begins and ends.

    Both are unsigned, so that no test for negative indices prevents vectorisation.
    """
    return np.uintp(block * BLOCK), np.uintp(min((block + 1) * BLOCK, size))


@inner
def pieces(size: int) -> int:
    """Return the number of blocks of a flat array of `size` elements."""
    return (size + BLOCK - 1) // BLOCK
