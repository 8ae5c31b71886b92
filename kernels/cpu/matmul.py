"""Matrix products by the tiles of `microkernel`, on the same threads as every other kernel.

BLAS would bring threads of its own. They go on spinning for milliseconds after each product, on the cores that the
next kernel wants: a training step that alternates between the two ran at half the speed.

Images of digits are mostly zeros. Where the six rows of a tile are all 0 at a step, the step adds nothing, and is
left out: adding 0 * b changes no sum while b is finite, which is looked at first (the sign of a sum that is 0 can
differ).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import accelerates, floats
from .entry import Kernel, each_time, share
from .layout import multiples, scratch
from .microkernel import PANEL, ROWS, address, compiled, product
from .panels import turned

_MATRIX = 2
_BLOCK = 16 * ROWS  # rows of a unit of work
_TALL = 8  # blocks of rows from which the panels of a block come before the next block, which keeps its memory near
_STEPS = 256  # steps at a time: that many rows of a panel of B stay in the second-level cache
_SAMPLES = 256
_PARTS = 16
_FEW = 1 << 20  # multiplications below which looking for zeros costs more than it saves


def takes_matrices(out: Any, a: Any, b: Any, **static: Any) -> bool:
    """Accept C-contiguous float32 matrices that are not empty."""
    return (
        out.ndim == a.ndim == b.ndim == _MATRIX
        and out.dtype == a.dtype == b.dtype == np.float32
        and min(a.size, b.size) > 0
        and floats(out, a, b)
    )


@Kernel
def _product(worker, workers, code, out, a, b, bias, arow, step, lines, crow, bstep, positive):  # type: ignore[no-untyped-def]
    rows, columns = out.shape
    depth = len(step) - ROWS
    panels, blocks = (columns + PANEL - 1) // PANEL, (rows + _BLOCK - 1) // _BLOCK
    for unit in share(panels * blocks, worker, workers):
        p, block = (unit % panels, unit // panels) if blocks > _TALL else (unit // blocks, unit % blocks)
        column, row = p * PANEL, block * _BLOCK
        for k in range(0, depth, _STEPS):
            last = k + _STEPS >= depth
            product(
                code,
                address(a),
                address(arow) + 8 * row,
                address(step) + 8 * k,
                address(lines) + 8 * k,
                min(_STEPS, depth - k),
                address(b) + 4 * column * bstep,
                bstep,
                address(out) + 4 * column,
                address(crow) + 8 * row,
                min(_BLOCK, rows - row),
                min(PANEL, columns - column),
                1 if k else 0,
                address(bias) + 4 * column if last and len(bias) else 0,
                positive if last else 0,
            )


@Kernel
def _infinite(worker, workers, found, b):  # type: ignore[no-untyped-def]
    # b are the bits of floats: those that are infinite or no number have all eight bits of the exponent set
    for p in share(len(found), worker, workers):
        largest = np.uint32(0)
        for k in range(np.uintp(p * b.size // len(found)), np.uintp((p + 1) * b.size // len(found))):
            largest = max(largest, b[k] & np.uint32(0x7FFFFFFF))
        found[p] = largest >= np.uint32(0x7F800000)


@Kernel
def _needed(worker, workers, steps, rows_of_b, bounds, a, arow, step, lines):  # type: ignore[no-untyped-def]
    # The steps, and the rows of b, at which one of the six rows of a tile is not 0; and where each block of them begins
    depth = len(step) - ROWS
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


@Kernel
def _sparse_product(worker, workers, code, out, a, b, bias, arow, steps, rows_of_b, bounds, crow, bstep, positive):  # type: ignore[no-untyped-def]
    rows, columns = out.shape
    panels, blocks, parts = (columns + PANEL - 1) // PANEL, (rows + _BLOCK - 1) // _BLOCK, bounds.shape[1] - 1
    for unit in share(panels * blocks, worker, workers):
        column, begin = unit // blocks * PANEL, unit % blocks * _BLOCK
        for k in range(parts):
            for row in range(begin, min(begin + _BLOCK, rows), ROWS):
                t = row // ROWS
                at = bounds[t, k]
                product(
                    code,
                    address(a),
                    address(arow) + 8 * row,
                    address(steps[t]) + 8 * at,
                    address(rows_of_b[t]) + 8 * at,
                    bounds[t, k + 1] - at,
                    address(b) + 4 * column * bstep,
                    bstep,
                    address(out) + 4 * column,
                    address(crow) + 8 * row,
                    ROWS,
                    min(PANEL, columns - column),
                    1 if k else 0,
                    address(bias) + 4 * column if k == parts - 1 and len(bias) else 0,
                    positive if k == parts - 1 else 0,
                )


_NO_BIAS = np.empty(0, np.float32)


@accelerates("matmul", device="cpu", takes=takes_matrices)
def matmul(out: Any, a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False) -> None:
    """Multiply a (M, K) by b (K, N) into out (M, N); a transposed side comes as (K, M) or (N, K)."""
    multiplied(out, a, b, _NO_BIAS, "linear", transpose_a, transpose_b)


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
    crow, left, positive = multiples(rows, columns), a.reshape(-1), int(activation == "relu")
    work = out.size * depth
    if work >= _FEW:
        each_time()
    if work < _FEW or not _worth_looking(left, b):
        _product(work, compiled(), out, left, right, bias, arow, step, lines, crow, bstep, positive)
        return
    tiles = -(-rows // ROWS)
    steps, rows_of_b = (scratch(name, tiles, depth + 1, dtype=np.int64) for name in ("steps", "rows of b"))
    bounds = scratch("bounds", tiles, -(-depth // _STEPS) + 1, dtype=np.int64)
    _needed(a.size, steps, rows_of_b, bounds, left, arow, step, lines)
    _sparse_product(work, compiled(), out, left, right, bias, arow, steps, rows_of_b, bounds, crow, bstep, positive)


def _worth_looking(a: Any, b: Any) -> bool:
    """Tell whether half of some elements of `a` are 0, and all of `b` are finite."""
    apart = a.size // _SAMPLES | 1
    if 2 * np.count_nonzero(a[::apart][:_SAMPLES]) > _SAMPLES:
        return False
    found = scratch("infinite", _PARTS, dtype=np.bool_)
    _infinite(b.size, found, b.reshape(-1).view(np.uint32))
    return not np.any(found)
