"""Products of many rows, A transposed times B: gradients of weights that many rows share, as those of a sequence do.

The sum over the rows is divided into parts, whose number depends on the shape only, and the sums of the parts are added
in order: the result is bitwise the same for any number of threads. A large result is divided into blocks too, each of
which stays in the second-level cache while a part is added to it. A unit of work, a block of a part, reads its rows of
both operands once, some at a time, into copies that stay in the caches. Rows of a copy are a cache line longer than a
multiple of the lines of a set, since columns of a power of two would all fall into the same few sets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import team
from ..registry import accelerates
from .machine.layout import multiples
from .machine.memory import add, copy
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import PANEL, ROWS, Left, Result, Right, address, compiled, product
from .matmul import supports_matrices
from .rnn_rows import supported as supports_rows

_STEPS = 128  # rows at a time
_PARTS = 16
_HIGH = 44 * ROWS  # rows of a block of the result
_WIDE = 4 * PANEL  # columns of a block
_SHORTEST = 96  # rows of a part, at least
_LEAST = 512  # rows from which on they are divided
_TALL = 4  # times as many rows as columns of A
_LINE = 16  # floats of a cache line
_NOTHING = np.empty((0, 0), np.float32)


def _tall(out: ndarray, a: ndarray, b: ndarray, *, transpose_a: bool = False, transpose_b: bool = False) -> bool:
    """Accept a transposed A of many rows, and a result that is small beside it."""
    if not supports_matrices(out, a, b) or not transpose_a or transpose_b:
        return False
    return bool(a.shape[0] >= max(_LEAST, _TALL * a.shape[1]))


class _Before(NamedTuple):
    """Where the rows of A are: each one `step` rows before its own place, but one of each sequence in `first`.

    Attributes:
        first: (sequences, M), or empty, if all rows are in A.
        time: rows of a sequence.
        start: the row of a sequence that is in `first`.
        step: how far before its place a row is.
    """

    first: ndarray
    time: int
    start: int
    step: int


class _Product(NamedTuple):
    """What the parts of a product share.

    Attributes:
        tiles: the result of `tile.compiled`.
        high: rows of a block of the result, a multiple of `ROWS` where there are several.
        copies: for each thread, the copies of some rows of A and of B, one after the other.
        sums: (parts, M, N and a line), of each part.
        columns: the offsets of the columns of A in a copied row.
        of_a, of_b: the offsets of the copied rows.
        rows: the offsets of the rows of a sum.
    """

    tiles: ndarray
    high: int
    copies: ndarray
    sums: ndarray
    columns: ndarray
    of_a: ndarray
    of_b: ndarray
    rows: ndarray


@inner
def _copied(
    to: ndarray, rows: ndarray, first: int, source: ndarray, step: int, left: int, wide: int, begin: int, count: int
) -> None:
    # The last row that is left out, as there is none before it, is copied from `first` afterwards.
    for k in range(count):
        row = min(max(begin + k - step, 0), len(source) - 1)
        copy(to, first + rows[k], source[row], left, wide)


@ParallelLoop
def _multiplied(worker, workers, thread, it, a, before, b):  # type: ignore[no-untyped-def]
    parts, rows, m, n = len(it.sums), len(a), a.shape[1], b.shape[1]
    chunks = (rows + parts * _STEPS - 1) // (parts * _STEPS)  # of a part, about equally long
    copies = it.copies[thread]
    second = _STEPS * it.of_a[1]
    across, blocks = (n + _WIDE - 1) // _WIDE, (m + it.high - 1) // it.high * ((n + _WIDE - 1) // _WIDE)
    for unit in share(parts * blocks, worker, workers):
        part, top, left = unit // blocks, unit % blocks // across * it.high, unit % across * _WIDE
        high, wide = min(it.high, m - top), min(_WIDE, n - left)
        for chunk in range(part * chunks, (part + 1) * chunks):
            begin = chunk * rows // (parts * chunks)
            count = (chunk + 1) * rows // (parts * chunks) - begin
            _copied(copies, it.of_a, 0, a, before.step, top, high, begin, count)
            if len(before.first):
                for k in range(count):
                    if (begin + k) % before.time == before.start:
                        copy(copies, it.of_a[k], before.first[(begin + k) // before.time], top, high)
            _copied(copies, it.of_b, second, b, 0, left, wide, begin, count)
            product(
                it.tiles,
                Left(address(copies) - 4 * top, address(it.columns) + 8 * top, address(it.of_a)),
                Right(address(copies) + 4 * second, address(it.of_b), 1),
                Result(address(it.sums[part]) + 4 * left, address(it.rows) + 8 * top),
                count,
                high,
                wide,
                1 if chunk > part * chunks else 0,
                0,
                0,
            )


@ParallelLoop
def _added(worker, workers, out, sums):  # type: ignore[no-untyped-def]
    for row in share(len(out), worker, workers):
        copy(out[row], 0, sums[0, row], 0, out.shape[1])
        for part in range(1, len(sums)):
            add(out[row], 0, sums[part, row], 0, out.shape[1])


@accelerates("matmul", device="cpu", supports=_tall, first=True)
def matmul_tall(out: ndarray, a: ndarray, b: ndarray, *, transpose_a: bool = False, transpose_b: bool = False) -> None:
    """Multiply the transposed a (K, M) by b (K, N) into out (M, N), where K is large."""
    _run(out, a, _Before(_NOTHING, 1, 0, 0), b)


def _long(out: ndarray, hs: ndarray, h0: ndarray, slopes: ndarray, *, reverse: bool = False) -> bool:
    rows = slopes.shape[0] * slopes.shape[1]
    return supports_rows(out, hs, h0, slopes) and rows >= max(_LEAST, _TALL * hs.shape[2])


@accelerates("recurrent_kernel_grad", device="cpu", supports=_long)
def recurrent_kernel_grad(out: ndarray, hs: ndarray, h0: ndarray, slopes: ndarray, *, reverse: bool = False) -> None:
    """Multiply the transposed states before all steps by slopes: hs, slopes (batch, time, ...), h0 (batch, units)."""
    time, units = hs.shape[1:]
    before = _Before(h0, time, time - 1 if reverse else 0, -1 if reverse else 1)
    _run(out, hs.reshape(-1, units), before, slopes.reshape(-1, slopes.shape[2]))


def _run(out: ndarray, a: ndarray, before: _Before, b: ndarray) -> None:
    (rows, m), n = a.shape, b.shape[1]
    down, across = -(-m // _HIGH), -(-n // _WIDE)
    high = -(-m // (down * ROWS)) * ROWS
    parts = min(max(_PARTS // (down * across), 1), 1 << (rows // _SHORTEST).bit_length() - 1)
    of_a, of_b, of_sum = (size // (2 * _LINE) * (2 * _LINE) + 3 * _LINE for size in (min(m, high), min(n, _WIDE), n))
    it = _Product(
        compiled(),
        high,
        scratch(team.size(), _STEPS * (of_a + of_b)),
        scratch(parts, m, of_sum),
        multiples(m, 1),
        multiples(_STEPS, of_a),
        multiples(_STEPS, of_b),
        multiples(m, of_sum),
    )
    _multiplied(out.size * rows, it, a, before, b)
    _added(out.size * parts, out, it.sums)
