"""How the kernels of this folder are compiled, and how they divide a flat array."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numba.core import event

F = TypeVar("F", bound=Callable[..., object])

PARALLEL_FROM = 1 << 17
"""Elements of light work from which all threads run: that costs microseconds, and far more if one has gone to sleep."""

BLOCK = 4096
"""Elements of a flat array that one thread takes at a time, whatever the number of threads."""

WITHOUT_WRAPPERS: Any = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER: Any = {**WITHOUT_WRAPPERS, "forceinline": True, "no_cpython_wrapper": True}
"""Options for Numba under which a function becomes part of the kernel that calls it, and nothing else."""


def inner(function: F) -> F:
    """Compile a helper that kernels call; it is inlined into them, which lets LLVM see whole loops."""
    compiled: Any = njit(**INNER)(function)
    return cast(F, compiled)


_KERNELS = f"{__name__.rpartition('.cpu.')[0]}."


class _FirstCompilation(event.Listener):
    """Says, once a process, that kernels are being compiled: for seconds the program seems to hang."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: event.Event) -> None:
        """Look at what Numba has begun to compile, having found nothing in its cache."""
        compiled = event.data["dispatcher"]
        part = compiled.targetoptions.get("forceinline")  # of what is compiled, and never kept alone
        if self._said or part or not compiled.py_func.__module__.startswith(_KERNELS):
            return
        self._said = True
        folder = compiled.stats.cache_path
        logging.getLogger("gpudl").warning(
            "gpudl: compiling kernels for this machine, %s",
            f"once; later starts take them from the cache ({folder})."
            if folder
            else "at every start: set NUMBA_CACHE_DIR to a folder that can be written, to keep them.",
        )

    def on_end(self, event: event.Event) -> None:
        """Do nothing."""


_register: Any = event.register  # untyped
_register("numba:compile", _FirstCompilation())


@inner
def piece(block: int, size: int) -> tuple[np.uintp, np.uintp]:
    """Return where block number `block` of a flat array of `size` elements begins and ends.

    The two are unsigned: no test for negative indices then stands in the way of vector instructions.
    """
    return np.uintp(block * BLOCK), np.uintp(min((block + 1) * BLOCK, size))


@inner
def pieces(size: int) -> int:
    """Return how many blocks a flat array of `size` elements has."""
    return (size + BLOCK - 1) // BLOCK
