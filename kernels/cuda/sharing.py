"""How a reduction is split among the blocks of a kernel: along rows (`rows.cuh`) or down columns (`columns.cuh`).

All but the access to unaligned arrays depends on shapes and dtypes alone, and so does the order of each sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np

from .launch import THREADS, Argument, Array, Kernel, function, index, launch, real, run, width

WARP = 32
MOST_LANES = 8  # as in columns.cuh
LONGEST = 512
"""Threads of a row at most: as many as there are registers for, if a thread uses 128."""

ITEMS = 16  # elements that a thread of a row holds, as in rows.cuh
SUMS, MOVES, NEVER = 16, 1, 1 << 62
"""Iterations of each thread up to which one block does all the work alone: for sums, which need a second launch if they
are split, for copies, and for results that a second launch could not combine."""

_BLOCKS = 512  # blocks that are worth launching
_PARTS = 256  # parts that one block can add up efficiently


@dataclass(frozen=True)
class Columns:
    """The split of a sum of x (O, R, C) along R: `parts` of `step` rows, by blocks of `lanes` times `width` columns."""

    rows: int
    columns: int
    width: int
    lanes: int
    parts: int
    step: int
    blocks: int

    def start(self, kernel: Kernel, args: Sequence[Argument], kind: type[np.integer], *more: np.generic) -> None:
        """Launch a kernel on `args`, the parameters called COLUMNS in `columns.cuh`, and `more`."""
        shares = map(kind, (self.rows, self.columns, self.parts, self.step))
        run(kernel, self.blocks, THREADS, (*args, *shares, np.int32(self.lanes), *more))


@dataclass(frozen=True)
class Rows:
    """The split of a sum of x (O, R) along R: `parts` of `step` elements, by `lanes` threads each."""

    count: int
    length: int
    width: int
    lanes: int
    parts: int
    step: int

    def start(self, kernel: Kernel, args: Sequence[Argument], kind: type[np.integer], *more: np.generic) -> None:
        """Launch a kernel on `args`, the attributes of this class, and `more`."""
        shares = map(kind, (self.count, self.length, self.parts, self.step))
        start_rows(kernel, self.count * self.parts, self.lanes, (*args, *shares, np.int32(self.lanes), *more))


@lru_cache(maxsize=1024)
def columns(shape: tuple[int, int, int], itemsize: int, alone: int = SUMS) -> Columns:
    """Return how to split x (O, R, C): R among several blocks if a thread would need more than `alone` iterations.

    Example:
        >>> columns((1, 100_000, 32), 4)
        Columns(rows=100000, columns=32, width=4, lanes=8, parts=256, step=391, blocks=256)
    """
    groups, rows, count = shape
    wide = elements(itemsize, count)
    lanes = min(power(-(-count // wide)), MOST_LANES)
    tiles, high = groups * -(-count // (lanes * wide)), THREADS // lanes
    parts, step = _parts(rows, high, tiles, alone)
    return Columns(rows, count, wide, lanes, parts, step, tiles * parts)


@lru_cache(maxsize=1024)
def rows(shape: tuple[int, int], itemsize: int, alone: int = SUMS) -> Rows:
    """Return how to split x (O, R), in the same way.

    Example:
        >>> rows((1, 100_000), 4)
        Rows(count=1, length=100000, width=4, lanes=256, parts=13, step=7696)
    """
    count, length = shape
    wide = elements(itemsize, length)
    packs = length // wide
    parts, step = _parts(packs, THREADS, count, alone)
    return Rows(count, length, wide, min(lanes_of(step, SUMS // 2), THREADS), parts, step * wide)


def _parts(turns: int, high: int, blocks: int, alone: int) -> tuple[int, int]:
    """Return into how many parts, of how many rows, `turns` are split among `blocks`; each does `high` rows at once."""
    most = min(_BLOCKS // blocks, _PARTS, -(-2 * turns // (alone * high))) if turns > alone * high else 1
    step = -(-turns // max(most, 1))
    return -(-turns // step), step


def elements(itemsize: int, *counts: int) -> int:
    """Return the number of elements of a Pack that divides each of `counts`."""
    return max(gcd(16, *(n * itemsize for n in counts)) // itemsize, 1)


def power(n: int) -> int:
    """Return the smallest power of 2 that is at least `n`."""
    return 1 << max(n - 1, 0).bit_length()


def lanes_of(packs: int, most: int) -> int:
    """Return the number of threads for a row of `packs` Packs, if a thread processes `most` Packs per iteration."""
    if packs <= WARP * most:
        return min(power(packs), WARP)
    return min(-(-packs // most) + WARP - 1, LONGEST) // WARP * WARP


def start_rows(kernel: Kernel, count: int, lanes: int, args: Sequence[Argument]) -> None:
    """Launch a kernel of `rows.cuh` on `count` rows, with `lanes` threads each."""
    if lanes <= WARP:
        launch(kernel, count * lanes, args)
    else:
        run(kernel, min(count, 1 << 16), lanes, args)


def macros(arrays: Sequence[Array], wide: int, **more: str | int) -> dict[str, str | int]:
    """Return the macros for a kernel on `arrays`, and on arrays of the same shapes, in Packs of `wide` elements."""
    return {"GPUDL_REAL": real(*arrays) or "", "GPUDL_INDEX": index(*arrays)[0], "GPUDL_WIDTH": wide, **more}


def compiled(file: str, name: str, packed: Sequence[Array], given: dict[str, str | int]) -> Kernel:
    """Return a kernel for arrays, of which `packed` are accessed in Packs.

    Raises:
        RuntimeError: if it does not compile.
    """
    wide = int(given["GPUDL_WIDTH"])
    apart = {"GPUDL_APART": 1} if width(packed, wide) < wide else {}
    kernel = function(file, name, **given, **apart)
    if kernel is None:
        raise RuntimeError(f"{name} of {file} does not compile here; check `supports` first.")
    return kernel


def sum_type(dtype: np.dtype) -> type[np.floating]:
    """Return the NumPy type of `Sum` for arrays of `dtype`."""
    return np.float64 if dtype == np.float64 else np.float32
