"""Scratch memory of kernels, and empty arrays for arguments that are left out."""

from __future__ import annotations

from threading import local
from typing import Any

import numpy as np

NO_FLOATS, NO_BYTES = np.empty(0, np.float32), np.empty(0, np.uint8)
"""An argument that is left out, such as a bias."""

_MOST = 128
_kept = local()


def scratch(name: str, *shape: int, dtype: Any = np.float32) -> Any:
    """Return scratch memory, the same for equal name, shape and dtype; the oldest is freed when there are many."""
    # Kept between calls, so that eager steps allocate nothing; one per calling thread.
    kept: dict[Any, Any] = _kept.__dict__
    key = (name, shape, np.dtype(dtype))
    if key not in kept:
        if len(kept) >= _MOST:
            del kept[next(iter(kept))]
        kept[key] = np.empty(shape, dtype)
    return kept[key]
