"""The double's `cupyx`, and copies from pinned memory: they happen as late as CUDA allows, on a stream of their own."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

_pinned: dict[int, int] = {}  # addresses that are pinned, with their sizes


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    """Return host memory that the device can fetch by itself."""
    made = np.empty(shape, dtype, order)
    _pinned[made.ctypes.data] = made.nbytes
    return made


def is_pinned(array: np.ndarray) -> bool:
    """Tell whether an array is such memory as a whole."""
    return _pinned.get(array.ctypes.data) == array.nbytes


def zeros_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    """Return `empty_pinned` memory full of zeros."""
    made = empty_pinned(shape, dtype, order)
    made.fill(0)
    return made


class Queue:
    """Copies that a stream has been given and nobody has waited for yet."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.given = 0
        self.done = 0

    def give(self, copy: Any) -> None:
        """Take a copy that is to be made."""
        self.waiting.append(copy)
        self.given += 1

    def finish(self, count: int) -> None:
        """Make the copies up to number `count`."""
        while self.done < count:
            self.waiting.pop(0)()
            self.done += 1


cupyx = ModuleType("cupyx")
cupyx.__dict__.update(vars(SimpleNamespace(empty_pinned=empty_pinned, zeros_pinned=zeros_pinned)))
