"""Gathering rows by index, for batches and embeddings, and the gradient of it."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from .. import team
from ..registry import accelerates, floats
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner


def _numbered(rows: ndarray, indices: ndarray) -> bool:
    """Accept C-contiguous rows, and indices of a dtype that Numba need not convert."""
    plain = indices.dtype.char in "ilq" and not rows.dtype.hasobject
    return plain and rows.flags.c_contiguous and indices.flags.c_contiguous


def _supports(out: ndarray, x: ndarray, indices: ndarray) -> bool:
    return x.ndim > 0 and x.shape[0] > 0 and out.dtype == x.dtype and _numbered(x, indices) and out.flags.c_contiguous


@inner
def _row(index: int, rows: int | np.int64) -> np.int64:
    # The row that an index means, counted from 0, or -1 for an index out of range.
    at = np.int64(index)
    at = at + rows if at < 0 else at
    return at if 0 <= at < rows else np.int64(-1)


@ParallelLoop
def _take(worker, workers, out, x, indices, run, nothing):  # type: ignore[no-untyped-def]
    # out, x flat bytes, `run` bytes a row
    rows = np.int64(len(x) // run)
    for r in share(len(indices), worker, workers):
        to, at = np.uintp(r * run), _row(indices[r], rows)
        if at < 0:
            for k in range(np.uintp(run)):
                out[to + k] = nothing
        else:
            first = np.uintp(at * run)
            for k in range(np.uintp(run)):
                out[to + k] = x[first + k]


@accelerates("take", device="cpu", supports=_supports)
def take(out: ndarray, x: ndarray, indices: ndarray) -> None:
    """Copy rows: x (M, ...), indices (...) -> out (..., ...).

    A negative index counts from the end. A row for an index out of range has all bits set, or is True.
    """
    if out.size:
        run, nothing = prod(x.shape[1:]) * x.itemsize, 1 if x.dtype.kind == "b" else 255
        flat = out.reshape(-1).view(np.uint8), x.reshape(-1).view(np.uint8), indices.reshape(-1)
        _take(out.nbytes >> 2, *flat, run, nothing)


def _supports_grad(out: ndarray, g: ndarray, indices: ndarray, *, rows: int) -> bool:
    return floats(out, g) and _numbered(g, indices)


@ParallelLoop
def _chained(worker, workers, first, after, indices):  # type: ignore[no-untyped-def]
    # first (N,) -> where each row was first gathered, after (M,) -> where the same row is gathered next; -1 for none
    rows = np.int64(len(first))
    mine = share(rows, worker, workers)
    low, high = mine.start, mine.stop
    for k in range(low, high):
        first[k] = -1
    for back in range(len(indices)):
        i = len(indices) - 1 - back
        r = _row(indices[i], rows)
        if low <= r < high:
            after[i] = first[r]
            first[r] = i


@ParallelLoop
def _take_grad(worker, workers, thread, out, g, first, after, lines):  # type: ignore[no-untyped-def]
    # g (M, C) -> out (N, C), with an accumulator (C,) of float64 per thread
    rows, c = out.shape
    line = lines[thread]
    for r in share(rows, worker, workers):
        i = first[r]
        if i < 0:
            for k in range(c):
                out[r, k] = 0
        elif after[i] < 0:
            for k in range(c):
                out[r, k] = g[i, k]
        else:
            for k in range(c):
                line[k] = g[i, k]
            i = after[i]
            while i >= 0:
                for k in range(c):
                    line[k] += g[i, k]
                i = after[i]
            for k in range(c):
                out[r, k] = line[k]


@accelerates("take_grad", device="cpu", supports=_supports_grad)
def take_grad(out: ndarray, g: ndarray, indices: ndarray, *, rows: int) -> None:
    """Sum the gradients of each row over the places where it was gathered: g (..., C), indices (...) -> out (rows, C).

    The terms of a row are added in float64 in the order of the indices, for any number of threads. A negative index
    counts from the end; one out of range is ignored.
    """
    if out.size:
        c, taken = prod(out.shape[1:]), indices.reshape(-1)
        first, after = (scratch(n, dtype=np.int64) for n in (rows, taken.size))
        lines = scratch(team.size(), c, dtype=np.float64)
        _chained(taken.size + rows, first, after, taken)
        _take_grad(g.size + out.size, out.reshape(rows, c), g.reshape(taken.size, c), first, after, lines)
