"""Memory in which kernels keep what they need between two passes, and arrays that stand for none."""

from __future__ import annotations

from threading import local

import numpy as np
from numpy.typing import DTypeLike

NO_FLOATS, NO_BYTES = np.empty(0, np.float32), np.empty(0, np.uint8)
"""An argument that is left out, such as a bias."""

_MOST = 128


class _Kept(local):
    """What a thread has, by name, shape and dtype."""

    def __init__(self) -> None:
        self.arrays: dict[object, np.ndarray] = {}


_kept = _Kept()


def scratch(name: str, *shape: int, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Return scratch memory, the same for the same name, shape and dtype; the oldest of many is given up."""
    # Kept from call to call, so that eager steps allocate nothing; one for each thread that calls.
    kept = _kept.arrays
    key = (name, shape, np.dtype(dtype))
    if key not in kept:
        if len(kept) >= _MOST:
            del kept[next(iter(kept))]
        kept[key] = np.empty(shape, dtype)
    return kept[key]
