"""The loop over time of a recurrent network on a GPU: one launch a step, of a kernel that includes `rnn_step.cuh`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..registry import floats
from .gemm import card
from .launch import Argument, Array, Kernel, function, index, real, run, width

_THREADS, _UNITS, _ROWS_OF_A_PART = 256, 8, 4  # as in rnn_step.cuh
_PARTS = {4: (8, 4, 2), 8: (2,)}
"""Rows of the batch of a thread, by bytes of an element: for more rows of float64 there are too few registers."""


@dataclass(frozen=True)
class Steps:
    """The steps of a kernel over a sequence.

    Args:
        file: the `.cu` file.
        name: the kernel.
        batch: number of rows.
        time: number of steps.
        units: size of a state.
        depth: terms of each sum of the product.
        reverse: whether the last step comes first.
    """

    file: str
    name: str
    batch: int
    time: int
    units: int
    depth: int
    reverse: bool = False

    def kernel(self, arrays: Sequence[Array], factors: Sequence[Array] = ()) -> Kernel | None:
        """Return the kernel, or None if it does not compile.

        Args:
            arrays: all arrays of the kernel.
            factors: those that the product reads, if their addresses are to be regarded.
        """
        itemsize = arrays[0].dtype.itemsize
        most = 16 // itemsize
        whole = self.depth % most == 0 and (not factors or width(factors, most) == most)
        types = {"GPUDL_REAL": real(*arrays) or "", "GPUDL_INDEX": index(*arrays)[0]}
        return function(
            self.file, self.name, **types, GPUDL_WIDTH=most if whole else 1, GPUDL_PART=self._part(itemsize)
        )

    def _part(self, itemsize: int) -> int:
        """Return the most rows of a thread with which there are blocks for all multiprocessors, or the fewest."""
        parts = _PARTS[itemsize]
        return next((part for part in parts if self._blocks(part) >= card().multiprocessors), parts[-1])

    def _blocks(self, part: int) -> int:
        return -(-self.batch // (_ROWS_OF_A_PART * part)) * -(-self.units // _UNITS)

    def start(self, arrays: Sequence[Array], factors: Sequence[Array], *more: np.generic, back: bool = False) -> None:
        """Launch the kernel for each step, and `back` once more for the gradient of the first state.

        Args:
            arrays: the arrays that the kernel is given.
            factors: those that the product reads.
            more: its arguments behind them.
            back: whether the last step comes first.
        """
        kernel = self.kernel(arrays, factors)
        if kernel is None:
            raise RuntimeError(f"{self.name} of {self.file} does not compile here; check `supports` first.")
        number, blocks = index(*arrays)[1], self._blocks(self._part(arrays[0].dtype.itemsize))
        sizes = tuple(map(number, (self.batch, self.time, self.units)))
        given: tuple[Argument, ...] = (*arrays, *more, *sizes)
        step = -1 if self.reverse else 1
        times = range(self.time)[::step]
        for t in (*times[::-1], times[0] - step) if back else times:
            run(kernel, blocks, _THREADS, (*given, number(t), number(t - step)))


def supported(*arrays: Array, reverse: bool = False) -> bool:
    """Accept C-contiguous arrays of float32 or float64 of a batch that is not empty."""
    return floats(*arrays) and arrays[0].size > 0
