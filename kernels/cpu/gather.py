"""Rows by number: the batches of a training, the vectors of an embedding and their gradient."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..registry import accelerates, floats
from .entry import Kernel, share


def _numbered(rows: Any, indices: Any) -> bool:
    """Accept plain memory, and indices that Numba need not convert."""
    plain = indices.dtype.char in "ilq" and not rows.dtype.hasobject
    return plain and rows.flags.c_contiguous and indices.flags.c_contiguous


def _takes(out: Any, x: Any, indices: Any) -> bool:
    return x.ndim > 0 and x.shape[0] > 0 and out.dtype == x.dtype and _numbered(x, indices) and out.flags.c_contiguous


@Kernel
def _take(worker, workers, out, x, indices, run):  # type: ignore[no-untyped-def]
    # out, x flat bytes, `run` of them a row
    last = len(x) // run - 1
    for r in share(len(indices), worker, workers):
        to, first = np.uintp(r * run), np.uintp(min(max(indices[r], 0), last) * run)
        for k in range(np.uintp(run)):
            out[to + k] = x[first + k]


@accelerates("take", device="cpu", takes=_takes)
def take(out: Any, x: Any, indices: Any) -> None:
    """Copy rows: x (M, ...), indices (...) -> out (..., ...).

    Indices are to be checked before: one outside 0 <= index < M reads the nearest row, and nothing else.
    """
    if out.size:
        run = prod(x.shape[1:]) * x.itemsize
        _take(out.nbytes >> 2, out.reshape(-1).view(np.uint8), x.reshape(-1).view(np.uint8), indices.reshape(-1), run)


def _takes_grad(out: Any, g: Any, indices: Any, *, rows: int) -> bool:
    return floats(out, g) and _numbered(g, indices)


@Kernel
def _take_grad(worker, workers, out, g, indices):  # type: ignore[no-untyped-def]
    # g (M, C) -> out (N, C); a worker looks through all indices for those of its own rows
    rows, c = out.shape
    mine = share(rows, worker, workers)
    low, high = mine.start, mine.stop
    for r in range(low, high):
        for k in range(c):
            out[r, k] = 0
    for i in range(len(indices)):
        r = min(max(indices[i], 0), rows - 1)
        if low <= r < high:
            for k in range(c):
                out[r, k] += g[i, k]


@accelerates("take_grad", device="cpu", takes=_takes_grad)
def take_grad(out: Any, g: Any, indices: Any, *, rows: int) -> None:
    """Sum the rows of g that were taken from each row: g (..., C), indices (...) -> out (rows, C).

    The terms of a row are added in the order of the indices, for any number of threads; an index outside of the rows
    stands for the nearest one, as in `take`.
    """
    if out.size:
        c = prod(out.shape[1:])
        _take_grad(g.size + out.size, out.reshape(rows, c), g.reshape(indices.size, c), indices.reshape(-1))
