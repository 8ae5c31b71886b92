"""Matrix products with the register tiles of `machine.tile`, on the same threads as every other kernel.

BLAS has a thread pool of its own, whose threads keep spinning for milliseconds after each product, on the cores that
the next kernel needs: a training step that alternated between the two ran at half the speed.

Images of digits are mostly zeros. Where the six rows of a tile are all 0 at a step of the inner dimension, the step is
skipped: adding 0 * b changes no sum as long as b is finite, which is checked first (the sign of a zero sum can differ).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..registry import accelerates, floats
from .machine.layout import multiples
from .machine.panels import panels_of, turned
from .machine.prebound import ParallelLoop, share
from .machine.scratch import NO_FLOATS, scratch
from .machine.threads import inner
from .machine.tile import PANEL, ROWS, Left, Result, Right, address, compiled, product

_MATRIX = 2
_BLOCK = 16  # tiles at most, one below the other, in a unit of work
_UNITS = 16  # units of work, where there are enough tiles
_TALL = 8  # blocks of rows from which on all panels of a block are computed first, to keep it in the cache
_STEPS = 256  # steps of the inner dimension at a time: so many rows of a panel of B stay in the second-level cache
_SAMPLES = 128
_PARTS = 16
_MANY = 512  # rows from which on a copy of B is worth it, whose panels are contiguous
_FEW = 1 << 23  # multiplications below which the search for zeros costs more than it saves


def supports_matrices(out: ndarray, a: ndarray, b: ndarray, **static: object) -> bool:
    """Accept C-contiguous float32 matrices that are not empty."""
    return (
        out.ndim == a.ndim == b.ndim == _MATRIX
        and out.dtype == a.dtype == b.dtype == np.float32
        and min(a.size, b.size) > 0
        and floats(out, a, b)
    )


@inner
def _has_zeros(a: ndarray, sample: ndarray) -> bool:
    """Return whether in a sample of tiles and steps a quarter of the steps can be skipped."""
    full = 0
    for k in range(len(sample)):
        some = False
        for r in range(ROWS):
            some |= a[np.uintp(sample[k, r])] != 0
        full += some
    return 4 * full < 3 * len(sample)


class Survey(NamedTuple):
    """Where the left operand is zero.

    Attributes:
        sample: offsets of the rows of some tiles at some steps; empty to skip the search.
        infinite: for each piece of the right operand, whether it has elements that are not finite.
        steps: the steps of each tile at which one of its six rows is not 0, as offsets in the left operand.
        rows: the rows of the right operand at these steps.
        bounds: where each block of these steps begins.
    """

    sample: ndarray
    infinite: ndarray
    steps: ndarray
    rows: ndarray
    bounds: ndarray


@ParallelLoop
def _survey(worker, workers, found, left, right, bits):  # type: ignore[no-untyped-def]
    # Finds the zeros. `bits` are those of the floats of the right operand; in an infinity or NaN all eight bits of the
    # exponent are set.
    a, row_offsets, step_offsets = left
    infinite, bounds = found.infinite, found.bounds
    if not _has_zeros(a, found.sample):
        return
    depth = len(step_offsets) - ROWS
    for p in share(len(infinite), worker, workers):
        largest = np.uint32(0)
        for k in range(np.uintp(p * bits.size // len(infinite)), np.uintp((p + 1) * bits.size // len(infinite))):
            largest = max(largest, bits[k] & np.uint32(0x7FFFFFFF))
        infinite[p] = largest >= np.uint32(0x7F800000)
    for t in share(len(found.steps), worker, workers):
        count = 0
        for k in range(depth):
            if k % _STEPS == 0:
                bounds[t, k // _STEPS] = count
            some = False
            for r in range(ROWS):
                some |= a[np.uintp(row_offsets[t * ROWS + r] + step_offsets[k])] != 0
            found.steps[t, count], found.rows[t, count] = step_offsets[k], right.row_offsets[k]
            count += some
        bounds[t, (depth + _STEPS - 1) // _STEPS] = count


@inner
def _sparse(a: ndarray, found: Survey) -> bool:
    """Return whether the lists of a survey exist and may be used."""
    usable = _has_zeros(a, found.sample)
    for p in range(len(found.infinite)):
        usable = usable and not found.infinite[p]
    return usable


@ParallelLoop
def _product(worker, workers, tiles, left, right, result, bias, positive, tall, found):  # type: ignore[no-untyped-def]
    out, bounds = result.data, found.bounds
    rows, columns = out.shape
    depth = len(left.step_offsets) - ROWS
    sparse = _sparse(left.data, found)
    panels, blocks = (columns + PANEL - 1) // PANEL, (rows + tall - 1) // tall
    high = ROWS if sparse else tall  # each tile has its own list of steps
    for unit in share(panels * blocks, worker, workers):
        p, block = (unit % panels, unit // panels) if blocks > _TALL else (unit // blocks, unit % blocks)
        column, end = p * PANEL, min((block + 1) * tall, rows)
        for k in range(0, depth, _STEPS):
            last = k + _STEPS >= depth
            for row in range(block * tall, end, high):
                at, count = k, min(_STEPS, depth - k)
                taken, lines = address(left.step_offsets), address(right.row_offsets)
                if sparse:
                    t = row // ROWS
                    at, count = bounds[t, k // _STEPS], bounds[t, k // _STEPS + 1] - bounds[t, k // _STEPS]
                    taken, lines = address(found.steps[t]), address(found.rows[t])
                stride = right.panel_stride
                product(
                    tiles,
                    Left(address(left.data), address(left.row_offsets) + 8 * row, taken + 8 * at),
                    Right(address(right.data) + 4 * column * stride, lines + 8 * at, stride),
                    Result(address(out) + 4 * column, address(result.row_offsets) + 8 * row),
                    count,
                    min(high, end - row),
                    min(PANEL, columns - column),
                    1 if k else 0,
                    address(bias) + 4 * column if last and len(bias) else 0,
                    positive if last else 0,
                )


_NO_SAMPLE = np.empty((0, ROWS), np.int64)


@accelerates("matmul", device="cpu", supports=supports_matrices)
def matmul(out: ndarray, a: ndarray, b: ndarray, *, transpose_a: bool = False, transpose_b: bool = False) -> None:
    """Multiply a (M, K) by b (K, N) into out (M, N); a transposed operand has shape (K, M) or (N, K)."""
    multiplied(out, a, b, NO_FLOATS, "linear", transpose_a, transpose_b)


def multiplied(
    out: ndarray,
    a: ndarray,
    b: ndarray,
    bias: ndarray,
    activation: str,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> None:
    """Compute activation(a @ b + bias) for a linear or relu `activation`; an empty bias adds nothing."""
    rows, columns = out.shape
    depth = a.shape[0 if transpose_a else 1]
    right = Right(b, multiples(depth, columns), 1)
    if transpose_b:
        packed = scratch(1, -(-columns // PANEL), depth, PANEL)
        turned(b.size, packed, b[None])
        right = Right(packed, multiples(depth, PANEL), depth)
    elif rows >= _MANY:
        right = panels_of(b, depth, columns)
    apart, step = (1, rows) if transpose_a else (depth, 1)
    left = Left(a.reshape(-1), multiples(rows, apart), multiples(depth, step))
    work = out.size * depth
    tall = ROWS * max(1, min(_BLOCK, -(-rows // ROWS) * -(-columns // PANEL) // _UNITS))
    sample = _sample(rows, depth, transpose_a) if work >= _FEW else _NO_SAMPLE
    tiles = -(-rows // ROWS) if len(sample) else 1
    steps, kept_rows = (scratch(tiles, depth + 1, dtype=np.int64) for _ in range(2))
    bounds = scratch(tiles, -(-depth // _STEPS) + 1, dtype=np.int64)
    found = Survey(sample, scratch(_PARTS, dtype=np.bool_), steps, kept_rows, bounds)
    if len(sample):
        _survey(work, found, left, right, b.reshape(-1).view(np.uint32))
    result = Result(out, multiples(rows, columns))
    _product(work, compiled(), left, right, result, bias, int(activation == "relu"), tall, found)


@lru_cache(maxsize=256)
def _sample(rows: int, depth: int, transposed: bool) -> ndarray:
    """Return the offsets of the rows of some tiles at some steps of the left operand: (samples, rows of a tile)."""
    rng = np.random.default_rng(0)
    first, step = rng.integers(0, max(rows - ROWS, 0) + 1, _SAMPLES), rng.integers(0, depth, _SAMPLES)
    row = np.minimum(first[:, None] + np.arange(ROWS), rows - 1)
    at: ndarray = step[:, None] * rows + row if transposed else row * depth + step[:, None]
    return at
