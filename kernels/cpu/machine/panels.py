"""The right operand of a product, packed so that the columns of a tile are contiguous."""

from __future__ import annotations

import numpy as np

from .layout import multiples
from .memory import copy
from .prebound import ParallelLoop, share
from .scratch import scratch
from .tile import PANEL, Right


@ParallelLoop
def _panels(worker, workers, packed, w):  # type: ignore[no-untyped-def]
    # w (K, F) -> packed (panels, K, PANEL): the columns of a tile are contiguous
    panels, depth, wide = packed.shape
    for p in share(panels, worker, workers):
        count = min(w.shape[1] - p * wide, wide)
        for k in range(depth):
            copy(packed[p, k], 0, w[k], p * wide, count)


def panels_of(w: np.ndarray, depth: int, columns: int) -> Right[np.ndarray]:
    """Return the right operand (K, F) of a product: unchanged, or packed into panels where it is wide."""
    flat = w.reshape(depth, columns)
    if columns <= PANEL:
        return Right(flat, multiples(depth, columns), 1)
    packed = scratch(-(-columns // PANEL), depth, PANEL)
    _panels(w.size, packed, flat)
    return Right(packed, multiples(depth, PANEL), depth)


@ParallelLoop
def turned(worker, workers, packed, w):  # type: ignore[no-untyped-def]
    """Transpose each w[tap], (C, F), into panels: packed (taps, panels of C, F, PANEL)."""
    taps, panels, f, wide = packed.shape
    for unit in share(taps * panels, worker, workers):
        tap, p = unit // panels, unit % panels
        for k in range(f):
            for v in range(min(w.shape[1] - p * wide, wide)):
                packed[tap, p, k, v] = w[tap, p * wide + v, k]
