"""Matrix products by the tiles of `machine.tile`, on the same threads as every other kernel.

BLAS would bring threads of its own. They go on spinning for milliseconds after each product, on the cores that the
next kernel wants: a training step that alternates between the two ran at half the speed.

Images of digits are mostly zeros. Where the six rows of a tile are all 0 at a step, the step adds nothing, and is
left out: adding 0 * b changes no sum while b is finite, which is looked at first (the sign of a sum that is 0 can
differ).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..registry import accelerates, floats
from .machine.layout import multiples
from .machine.panels import turned
from .machine.prebound import Kernel, share
from .machine.scratch import NO_FLOATS, scratch
from .machine.threads import inner
from .machine.tile import PANEL, ROWS, address, compiled, product

_MATRIX = 2
_BLOCK = 16  # tiles, at most, one below the other in a unit of work
_UNITS = 16  # of work, where there are tiles enough
_TALL = 8  # blocks of rows from which the panels of a block come before the next block, which keeps its memory near
_STEPS = 256  # steps at a time: that many rows of a panel of B stay in the second-level cache
_SAMPLES = 128
_PARTS = 16
_FEW = 1 << 23  # multiplications below which looking for zeros costs more than it saves


def takes_matrices(out: Any, a: Any, b: Any, **static: Any) -> bool:
    """Accept C-contiguous float32 matrices that are not empty."""
    return (
        out.ndim == a.ndim == b.ndim == _MATRIX
        and out.dtype == a.dtype == b.dtype == np.float32
        and min(a.size, b.size) > 0
        and floats(out, a, b)
    )


@inner
def _has_zeros(a: Any, sample: Any) -> Any:
    """Tell whether a quarter of some steps of some tiles add nothing."""
    full = 0
    for k in range(len(sample)):
        some = False
        for r in range(ROWS):
            some |= a[np.uintp(sample[k, r])] != 0
        full += some
    return 4 * full < 3 * len(sample)


@Kernel
def _survey(worker, workers, infinite, steps, rows_of_b, bounds, a, b, sample, arow, step, lines):  # type: ignore[no-untyped-def]
    # Where there are zeros: whether a piece of b is not finite; the steps, and the rows of b, at which one of the six
    # rows of a tile is not 0, and where each block of these steps begins. b are the bits of floats: those that are
    # infinite or no number have all eight bits of the exponent set.
    if not _has_zeros(a, sample):
        return
    depth = len(step) - ROWS
    for p in share(len(infinite), worker, workers):
        largest = np.uint32(0)
        for k in range(np.uintp(p * b.size // len(infinite)), np.uintp((p + 1) * b.size // len(infinite))):
            largest = max(largest, b[k] & np.uint32(0x7FFFFFFF))
        infinite[p] = largest >= np.uint32(0x7F800000)
    for t in share(len(steps), worker, workers):
        count = 0
        for k in range(depth):
            if k % _STEPS == 0:
                bounds[t, k // _STEPS] = count
            some = False
            for r in range(ROWS):
                some |= a[np.uintp(arow[t * ROWS + r] + step[k])] != 0
            steps[t, count], rows_of_b[t, count] = step[k], lines[k]
            count += some
        bounds[t, (depth + _STEPS - 1) // _STEPS] = count


@inner
def _sparse(a: Any, sample: Any, infinite: Any) -> Any:
    """Tell whether the lists of a survey are there and may be used."""
    usable = _has_zeros(a, sample)
    for p in range(len(infinite)):
        usable = usable and not infinite[p]
    return usable


@Kernel
def _product(  # type: ignore[no-untyped-def]
    worker,
    workers,
    code,
    out,
    a,
    b,
    bias,
    arow,
    step,
    lines,
    crow,
    bstep,
    positive,
    tall,
    sample,
    infinite,
    steps,
    rows_of_b,
    bounds,
):
    rows, columns = out.shape
    depth = len(step) - ROWS
    sparse = _sparse(a, sample, infinite)
    panels, blocks = (columns + PANEL - 1) // PANEL, (rows + tall - 1) // tall
    high = ROWS if sparse else tall  # each tile has steps of its own
    for unit in share(panels * blocks, worker, workers):
        p, block = (unit % panels, unit // panels) if blocks > _TALL else (unit // blocks, unit % blocks)
        column, end = p * PANEL, min((block + 1) * tall, rows)
        for k in range(0, depth, _STEPS):
            last = k + _STEPS >= depth
            for row in range(block * tall, end, high):
                at, count = k, min(_STEPS, depth - k)
                taken, right = address(step), address(lines)
                if sparse:
                    t = row // ROWS
                    at, count = bounds[t, k // _STEPS], bounds[t, k // _STEPS + 1] - bounds[t, k // _STEPS]
                    taken, right = address(steps[t]), address(rows_of_b[t])
                product(
                    code,
                    address(a),
                    address(arow) + 8 * row,
                    taken + 8 * at,
                    right + 8 * at,
                    count,
                    address(b) + 4 * column * bstep,
                    bstep,
                    address(out) + 4 * column,
                    address(crow) + 8 * row,
                    min(high, end - row),
                    min(PANEL, columns - column),
                    1 if k else 0,
                    address(bias) + 4 * column if last and len(bias) else 0,
                    positive if last else 0,
                )


_NO_SAMPLE = np.empty((0, ROWS), np.int64)


@accelerates("matmul", device="cpu", takes=takes_matrices)
def matmul(out: Any, a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False) -> None:
    """Multiply a (M, K) by b (K, N) into out (M, N); a transposed side comes as (K, M) or (N, K)."""
    multiplied(out, a, b, NO_FLOATS, "linear", transpose_a, transpose_b)


def multiplied(
    out: Any, a: Any, b: Any, bias: Any, activation: str, transpose_a: bool = False, transpose_b: bool = False
) -> None:
    """Compute activation(a @ b + bias) for a linear or relu `activation`; an empty bias adds nothing."""
    rows, columns = out.shape
    depth = a.shape[0 if transpose_a else 1]
    right, lines, bstep = b, multiples(depth, columns), 1
    if transpose_b:
        right, lines, bstep = scratch("turned", 1, -(-columns // PANEL), depth, PANEL), multiples(depth, PANEL), depth
        turned(b.size, right, b[None])
    arow, step = (
        (multiples(rows, 1), multiples(depth, rows)) if transpose_a else (multiples(rows, depth), multiples(depth, 1))
    )
    left = a.reshape(-1)
    work = out.size * depth
    tall = ROWS * max(1, min(_BLOCK, -(-rows // ROWS) * -(-columns // PANEL) // _UNITS))
    sample = _sample(rows, depth, transpose_a) if work >= _FEW else _NO_SAMPLE
    tiles = -(-rows // ROWS) if len(sample) else 1
    steps, rows_of_b = (scratch(name, tiles, depth + 1, dtype=np.int64) for name in ("steps", "rows of b"))
    bounds = scratch("bounds", tiles, -(-depth // _STEPS) + 1, dtype=np.int64)
    infinite = scratch("infinite", _PARTS, dtype=np.bool_)
    if len(sample):
        bits = b.reshape(-1).view(np.uint32)
        _survey(work, infinite, steps, rows_of_b, bounds, left, bits, sample, arow, step, lines)
    tables = arow, step, lines, multiples(rows, columns), bstep
    lists = sample, infinite, steps, rows_of_b, bounds
    _product(work, compiled(), out, left, right, bias, *tables, int(activation == "relu"), tall, *lists)


@lru_cache(maxsize=256)
def _sample(rows: int, depth: int, transposed: bool) -> Any:
    """Return where the rows of some tiles lie at some steps of a left side: (samples, rows of a tile)."""
    rng = np.random.default_rng(0)
    first, step = rng.integers(0, max(rows - ROWS, 0) + 1, _SAMPLES), rng.integers(0, depth, _SAMPLES)
    row = np.minimum(first[:, None] + np.arange(ROWS), rows - 1)
    return step[:, None] * rows + row if transposed else row * depth + step[:, None]
