"""What the kernels of recurrent networks share: the rows that a worker takes through all steps, and their products."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import team
from ..registry import floats
from .machine.layout import multiples
from .machine.memory import add, copy
from .machine.panels import panels_of, turned
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import PANEL, ROWS, Address, Left, Result, Right, address, compiled, product

_STEPS = 128  # steps of the inner dimension at a time: so many rows of a panel stay in the first-level cache
_FEW = 4  # tiles for a thread from which on it takes them in two pieces, one of which another thread may take over


class Steps(NamedTuple):
    """The steps, and the rows of the batch.

    Attributes:
        mask: (batch, time), which steps count.
        reverse: 1 to begin with the last step.
        units: size of a state.
        high: rows that a worker takes through all steps together.
        single: offsets of the rows of an array (batch, units), in floats.
        each: offsets of the rows of an array (batch, time, units).
        wide: offsets of the rows of an array (batch, time, width), which products read or write.
    """

    mask: ndarray
    reverse: int
    units: int
    high: int
    single: ndarray
    each: ndarray
    wide: ndarray


class Factor(NamedTuple):
    """The right operand of the products.

    Attributes:
        tiles: the result of `tile.compiled`.
        data: the packed panels, flat.
        row_offsets: offset of each step of the inner dimension in a panel.
        panel_stride: as in `tile.Right`.
        step_offsets: offset of each step of the inner dimension in a row of the left operand.
        columns: number of columns.
    """

    tiles: ndarray
    data: ndarray
    row_offsets: ndarray
    panel_stride: int
    step_offsets: ndarray
    columns: int


def supported(*arrays: ndarray, reverse: bool = False) -> bool:
    """Accept C-contiguous float32 arrays of a batch that is not empty; products of float64 are faster in BLAS."""
    return floats(*arrays) and arrays[0].dtype == np.float32 and arrays[0].size > 0


def steps_of(mask: ndarray, units: int, width: int, reverse: bool) -> Steps:
    """Return how rows of the batch go through the steps."""
    batch, time = mask.shape
    tiles = -(-batch // (ROWS * team.size()))  # for each thread: the more go together, the rarer panels are read
    high = ROWS * (tiles if tiles < _FEW else -(-tiles // 2))
    tables = (multiples(batch, stride) for stride in (units, time * units, time * width))
    return Steps(mask, int(reverse), units, high, *tables)


def factor_of(kernel: ndarray, transposed: bool = False) -> Factor:
    """Return the kernel (K, N) of products, or what it is transposed, packed into panels."""
    depth, columns = kernel.shape[::-1] if transposed else kernel.shape
    if transposed:
        packed = scratch(1, -(-columns // PANEL), depth, PANEL)
        turned(kernel.size, packed, kernel[None])
        right = Right(packed, multiples(depth, PANEL), depth)
    else:
        right = panels_of(kernel, depth, columns)
    return Factor(
        compiled(), right.data.reshape(-1), right.row_offsets, right.panel_stride, multiples(depth, 1), columns
    )


@inner
def pieces_of(steps: Steps) -> int:
    """Return into how many pieces the batch is divided."""
    return (len(steps.mask) + steps.high - 1) // steps.high


@inner
def step_at(steps: Steps, n: int) -> tuple[int, int]:
    """Return the n-th step in the order of time, and the one before it."""
    last = steps.mask.shape[1] - 1
    return (last - n, last - n + 1) if steps.reverse else (n, n - 1)


class Place(NamedTuple):
    """Rows of an array.

    Attributes:
        data: the array, flat.
        first: where the first row begins, in floats.
        offsets: offset of each row of the batch from there.
    """

    data: ndarray
    first: int
    offsets: ndarray


@inner
def row_of(place: Place, row: int) -> Address:
    """Return the address of a row of the batch."""
    return address(place.data) + np.int64(4) * np.int64(place.first + place.offsets[row])


@inner
def multiply(factor: Factor, a: Place, c: Place, row: int, rows: int, adds: int, bias: ndarray) -> None:
    """Compute C (+)= A @ factor (+ bias) for some rows of the batch, from `row` on; an empty bias adds nothing."""
    depth = len(factor.step_offsets) - ROWS
    for k in range(0, depth, _STEPS):
        count = min(_STEPS, depth - k)
        product(
            factor.tiles,
            Left(address(a.data) + 4 * a.first, address(a.offsets) + 8 * row, address(factor.step_offsets) + 8 * k),
            Right(address(factor.data), address(factor.row_offsets) + 8 * k, factor.panel_stride),
            Result(address(c.data) + 4 * c.first, address(c.offsets) + 8 * row),
            count,
            rows,
            factor.columns,
            1 if k else adds,
            address(bias) if k + count == depth and len(bias) else 0,
            0,
        )


@ParallelLoop
def added(worker, workers, out, rows):  # type: ignore[no-untyped-def]
    """Write the sums over rows, in their order."""
    for block in share((len(out) + PANEL - 1) // PANEL, worker, workers):
        at = block * PANEL
        count = min(PANEL, len(out) - at)
        copy(out, at, rows[0], at, count)
        for row in range(1, len(rows)):
            add(out, at, rows[row], at, count)
