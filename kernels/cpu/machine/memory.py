"""Clearing, copying and adding contiguous elements of flat arrays.

Offsets are unsigned inside, which avoids Numba's test for negative indices and lets LLVM vectorise the loops.
"""

from __future__ import annotations

import numpy as np

from .threads import inner


@inner
def clear(to: np.ndarray, at: int, count: int) -> None:
    """Set to[at : at + count] to zero."""
    base = np.uintp(at)
    for k in range(np.uintp(count)):
        to[base + k] = 0


@inner
def copy(to: np.ndarray, at: int, source: np.ndarray, first: int, count: int) -> None:
    """Copy source[first : first + count] to to[at : at + count]."""
    t, s = np.uintp(at), np.uintp(first)
    for k in range(np.uintp(count)):
        to[t + k] = source[s + k]


@inner
def add(to: np.ndarray, at: int, source: np.ndarray, first: int, count: int) -> None:
    """Add source[first : first + count] to to[at : at + count]."""
    t, s = np.uintp(at), np.uintp(first)
    for k in range(np.uintp(count)):
        to[t + k] += source[s + k]
