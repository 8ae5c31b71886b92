"""Scratch memory of kernels, and empty arrays for arguments that are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from threading import local

import numpy as np
from numpy.typing import DTypeLike

NO_FLOATS, NO_BYTES = np.empty(0, np.float32), np.empty(0, np.uint8)
"""An argument that is left out, such as a bias."""

_LINE = 64
"""Bytes of a cache line, and of the widest vector: to begin elsewhere was measured to cost a convolution a fifth."""


class _Here(local):
    """The scratch memory of the kernel that is being called, and the number of bytes that it has used."""

    memory: np.ndarray | None = None
    taken = 0


_here = _Here()
_new: Callable[[int, DTypeLike], np.ndarray] = np.empty  # uninitialised memory


def scratch(*shape: int, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Return scratch memory: a part of the memory that a plan provides for the kernel, or else new memory."""
    memory, first, nbytes = _here.memory, _here.taken, prod(shape) * np.dtype(dtype).itemsize
    _here.taken = first + -(-nbytes // _LINE) * _LINE
    if memory is None:
        memory = _new(nbytes + _LINE, np.uint8)
        first = -memory.ctypes.data % _LINE
    return memory[first : first + nbytes].view(dtype).reshape(shape)


@contextmanager
def within(memory: np.ndarray | None) -> Iterator[_Here]:
    """Provide `memory` as scratch memory for a kernel that is called in a ``with`` block; None means new memory."""
    before, _here.memory, _here.taken = (_here.memory, _here.taken), memory, 0
    try:
        yield _here
    finally:
        _here.memory, _here.taken = before
