"""Matrix products by the tiles of `microkernel`, on the same threads as every other kernel.

BLAS would bring threads of its own. They go on spinning for milliseconds after each product, on the cores that the
next kernel wants: a training step that alternates between the two ran at half the speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..registry import accelerates, floats
from .implicit import panels_of, turned
from .layout import multiples, scratch
from .microkernel import PANEL, ROWS, address, product
from .threads import Kernel

_MATRIX = 2
_MOST = 1 << 22  # multiplications; BLAS is better at larger products, whose sides it packs and blocks
_BLOCK = 16 * ROWS  # rows of a unit of work


def _takes(out: Any, a: Any, b: Any, *, transpose_a: bool = False, **static: Any) -> bool:
    if not out.ndim == a.ndim == b.ndim == _MATRIX:
        return False
    work = out.size * a.shape[0 if transpose_a else 1]
    return 0 < work <= _MOST and out.dtype == a.dtype == b.dtype == np.float32 and floats(out, a, b)


@Kernel
def _product(out, a, b, arow, step, crow, ldb, bstep):  # type: ignore[no-untyped-def]
    rows, columns = out.shape
    panels, blocks = (columns + PANEL - 1) // PANEL, (rows + _BLOCK - 1) // _BLOCK
    for unit in prange(panels * blocks):
        column, row = unit // blocks * PANEL, unit % blocks * _BLOCK
        product(
            address(a),
            address(arow) + 8 * row,
            address(step),
            len(step) - ROWS,
            address(b) + 4 * column * bstep,
            ldb,
            bstep,
            address(out) + 4 * column,
            address(crow) + 8 * row,
            min(_BLOCK, rows - row),
            min(PANEL, columns - column),
            0,
        )


@accelerates("matmul", device="cpu", takes=_takes)
def matmul(out: Any, a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False) -> None:
    """Multiply a (M, K) by b (K, N) into out (M, N); a transposed side comes as (K, M) or (N, K)."""
    rows, columns = out.shape
    depth = a.shape[0 if transpose_a else 1]
    if transpose_b:
        right, ldb, bstep = scratch("turned", 1, -(-columns // PANEL), depth, PANEL), PANEL, depth
        turned(b.size, right, b[None])
    else:
        right, ldb, bstep = panels_of(b, depth, columns)
    arow, step = (
        (multiples(rows, 1), multiples(depth, rows)) if transpose_a else (multiples(rows, depth), multiples(depth, 1))
    )
    _product(out.size * depth, out, a, right, arow, step, multiples(rows, columns), ldb, bstep)
