"""How the blocks of a kernel share out an array that is added up: by rows (`rows.cuh`) or down columns (`columns.cuh`).

Everything but the move of unaligned arrays follows from shapes and dtypes alone, and so does the order of each sum.
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
"""Threads of a row at most: as many as there are registers for, if a thread takes 128 of them."""

ITEMS = 16  # elements that a thread of a row holds, as in rows.cuh
SUMS, MOVES, NEVER = 16, 1, 1 << 62
"""Turns of each thread of a block up to which it does all alone: of sums, which others would have to finish, of what is
only moved, and of what others could not finish."""

_BLOCKS = 512  # that are worth starting
_PARTS = 256  # that are worth adding up by one block


@dataclass(frozen=True)
class Columns:
    """Shares of x (O, R, C), added up along R: `parts` of `step` rows by blocks that are `lanes` times `width` wide."""

    rows: int
    columns: int
    width: int
    lanes: int
    parts: int
    step: int
    blocks: int

    def start(self, kernel: Kernel, args: Sequence[Argument], kind: type[np.integer], *more: np.generic) -> None:
        """Start a kernel on `args`, the parameters called COLUMNS in `columns.cuh`, and `more`."""
        shares = map(kind, (self.rows, self.columns, self.parts, self.step))
        run(kernel, self.blocks, THREADS, (*args, *shares, np.int32(self.lanes), *more))


@dataclass(frozen=True)
class Rows:
    """Shares of x (O, R), added up along R: `parts` of `step` elements by `lanes` threads."""

    count: int
    length: int
    width: int
    lanes: int
    parts: int
    step: int

    def start(self, kernel: Kernel, args: Sequence[Argument], kind: type[np.integer], *more: np.generic) -> None:
        """Start a kernel on `args`, the numbers of this class, and `more`."""
        shares = map(kind, (self.count, self.length, self.parts, self.step))
        start_rows(kernel, self.count * self.parts, self.lanes, (*args, *shares, np.int32(self.lanes), *more))


@lru_cache(maxsize=1024)
def columns(shape: tuple[int, int, int], itemsize: int, alone: int = SUMS) -> Columns:
    """Return how to share out x (O, R, C): R among several blocks where each thread would take more than `alone` turns.

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
    """Return how to share out x (O, R) in the same way.

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
    """Return in how many parts, of how many turns, `blocks` share out `turns`, `high` of which each does at once."""
    most = min(_BLOCKS // blocks, _PARTS, -(-2 * turns // (alone * high))) if turns > alone * high else 1
    step = -(-turns // max(most, 1))
    return -(-turns // step), step


def elements(itemsize: int, *counts: int) -> int:
    """Return how many elements make a Pack that divides each of `counts`."""
    return max(gcd(16, *(n * itemsize for n in counts)) // itemsize, 1)


def power(n: int) -> int:
    """Return the smallest power of 2 that is at least `n`."""
    return 1 << max(n - 1, 0).bit_length()


def lanes_of(packs: int, most: int) -> int:
    """Return how many threads a row of so many Packs gets, where a thread takes `most` Packs without a second turn."""
    if packs <= WARP * most:
        return min(power(packs), WARP)
    return min(-(-packs // most) + WARP - 1, LONGEST) // WARP * WARP


def start_rows(kernel: Kernel, count: int, lanes: int, args: Sequence[Argument]) -> None:
    """Start a kernel of `rows.cuh` on `count` rows of `lanes` threads."""
    if lanes <= WARP:
        launch(kernel, count * lanes, args)
    else:
        run(kernel, min(count, 1 << 16), lanes, args)


def macros(arrays: Sequence[Array], wide: int, **more: str | int) -> dict[str, str | int]:
    """Return the macros for a kernel on `arrays`, and on what has their shapes, in Packs of `wide` elements."""
    return {"GPUDL_REAL": real(*arrays) or "", "GPUDL_INDEX": index(*arrays)[0], "GPUDL_WIDTH": wide, **more}


def compiled(file: str, name: str, packed: Sequence[Array], given: dict[str, str | int]) -> Kernel:
    """Return a kernel for arrays with addresses, of which `packed` are moved in Packs.

    Raises:
        RuntimeError: it does not compile.
    """
    wide = int(given["GPUDL_WIDTH"])
    apart = {"GPUDL_APART": 1} if width(packed, wide) < wide else {}
    kernel = function(file, name, **given, **apart)
    if kernel is None:
        raise RuntimeError(f"{name} of {file} does not compile here; ask `takes` first.")
    return kernel


def sum_type(dtype: np.dtype) -> type[np.floating]:
    """Return the NumPy type that `Sum` stands for where arrays hold `dtype`."""
    return np.float64 if dtype == np.float64 else np.float32
