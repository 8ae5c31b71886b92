"""Products of many rows, A transposed times B: gradients of weights that many rows share, as those of a sequence do.

The sum over the rows is divided into parts, whose number depends on the shape only, and the sums of the parts are added
in order: the result is bitwise the same for any number of threads. Each part reads its rows of both operands once, some
at a time, into copies that stay in the caches. Rows of a copy are a cache line longer than a multiple of the lines of a
set, since columns of a power of two would all fall into the same few sets.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy import ndarray

from .. import team
from ..registry import accelerates
from .machine.layout import multiples
from .machine.memory import add, copy
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.tile import Left, Result, Right, address, compiled, product
from .matmul import supports_matrices

_STEPS = 128  # rows at a time
_PARTS = 16
_SHORTEST = 96  # rows of a part, at least
_LEAST = 512  # rows from which on they are divided
_TALL = 4  # times as many rows as columns of A
_LINE = 16  # floats of a cache line


def _tall(out: ndarray, a: ndarray, b: ndarray, *, transpose_a: bool = False, transpose_b: bool = False) -> bool:
    """Accept a transposed A of many rows, and a result that is small beside it."""
    if not supports_matrices(out, a, b) or not transpose_a or transpose_b:
        return False
    return a.shape[0] >= max(_LEAST, _TALL * a.shape[1])


class _Product(NamedTuple):
    """What the parts of a product share.

    Attributes:
        tiles: the result of `tile.compiled`.
        copies: for each thread, the copies of some rows of A and of B, one after the other.
        sums: (parts, M, N and a line), of each part.
        columns: the offsets of the columns of A in a copied row.
        of_a, of_b: the offsets of the copied rows.
        rows: the offsets of the rows of a sum.
    """

    tiles: ndarray
    copies: ndarray
    sums: ndarray
    columns: ndarray
    of_a: ndarray
    of_b: ndarray
    rows: ndarray


@ParallelLoop
def _multiplied(worker, workers, thread, it, a, b):  # type: ignore[no-untyped-def]
    parts, rows, m, n = len(it.sums), len(a), a.shape[1], b.shape[1]
    chunks = (rows + parts * _STEPS - 1) // (parts * _STEPS)  # of a part, about equally long
    copies = it.copies[thread]
    second = _STEPS * it.of_a[1]
    for part in share(parts, worker, workers):
        for chunk in range(part * chunks, (part + 1) * chunks):
            begin = chunk * rows // (parts * chunks)
            count = (chunk + 1) * rows // (parts * chunks) - begin
            for k in range(count):
                copy(copies, it.of_a[k], a[begin + k], 0, m)
                copy(copies, second + it.of_b[k], b[begin + k], 0, n)
            product(
                it.tiles,
                Left(address(copies), address(it.columns), address(it.of_a)),
                Right(address(copies) + 4 * second, address(it.of_b), 1),
                Result(address(it.sums[part]), address(it.rows)),
                count,
                m,
                n,
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
    (rows, m), n = a.shape, b.shape[1]
    parts = min(_PARTS, 1 << (rows // _SHORTEST).bit_length() - 1)
    of_a, of_b = (size // (2 * _LINE) * (2 * _LINE) + 3 * _LINE for size in (m, n))
    work = out.size * rows
    it = _Product(
        compiled(),
        scratch(team.size(), _STEPS * (of_a + of_b)),
        scratch(parts, m, of_b),
        multiples(m, 1),
        multiples(_STEPS, of_a),
        multiples(_STEPS, of_b),
        multiples(m, of_b),
    )
    _multiplied(work, it, a, b)
    _added(out.size * parts, out, it.sums)
