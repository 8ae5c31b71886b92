"""Memory in which kernels keep what they need between two passes, and arrays that stand for none."""

from __future__ import annotations

from threading import local
from typing import Any

import numpy as np

NO_FLOATS, NO_BYTES = np.empty(0, np.float32), np.empty(0, np.uint8)
"""An argument that is left out, such as a bias."""

_MOST = 128
_kept = local()


def scratch(name: str, *shape: int, dtype: Any = np.float32) -> Any:
    """Return scratch memory, the same for the same name, shape and dtype; the oldest of many is given up."""
    # Kept from call to call, so that eager steps allocate nothing; one for each thread that calls.
    kept: dict[Any, Any] = _kept.__dict__
    key = (name, shape, np.dtype(dtype))
    if key not in kept:
        if len(kept) >= _MOST:
            del kept[next(iter(kept))]
        kept[key] = np.empty(shape, dtype)
    return kept[key]
