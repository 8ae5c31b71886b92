"""Batch normalization, by the kernels of `norm.cu`.

Where there are too many rows for one block per tile of channels, a first kernel writes the statistics of parts of the
rows to scratch memory, and each block of a second one combines them for its channels before it applies them.
"""

from __future__ import annotations

import numpy as np

from ..registry import Stages, accelerates
from .launch import Argument, Array, contiguous, function, index, real
from .sharing import MOVES, SUMS, columns, compiled, macros, sum_type

FILE = "norm.cu"


class Down:
    """The kernels of a file that reduce x (..., C) along the columns.

    Args:
        file: name of the file.
        x: an array of the shape of x.
        relu: whether a ReLU follows the normalization.
        alone: see `columns`.
    """

    def __init__(self, file: str, x: Array, relu: bool = False, alone: int = SUMS) -> None:
        self._file, self._x = file, x
        self._shares = columns((1, x.size // x.shape[-1], x.shape[-1]), x.dtype.itemsize, alone)
        self._macros = macros((x,), self._shares.width, GPUDL_RELU=int(relu))
        self.parts = self._shares.parts

    def compiles(self, *names: str) -> bool:
        """Return whether all of these kernels compile."""
        return all(function(self._file, name, **self._macros) is not None for name in names)

    def compiles_stages(self, name: str) -> bool:
        """Return whether kernel `name` compiles, or, where the rows are split, the kernels of both stages."""
        return self.compiles(*((name,) if self.parts == 1 else (f"{name}_parts", f"{name}_whole")))

    def scratch(self, numbers: int) -> Array:
        """Return scratch memory for `numbers` values per channel and part."""
        import cupy

        sums: Array = cupy.empty((self.parts, numbers, self._x.shape[-1]), sum_type(self._x.dtype))
        return sums

    def start(self, name: str, packed: tuple[Array, ...], args: tuple[Argument, ...], *more: np.generic) -> None:
        """Launch a kernel on `args` and `more`; the arrays `packed` among them are accessed in Packs."""
        kernel = compiled(self._file, name, packed, self._macros)
        self._shares.start(kernel, args, index(self._x)[1], *more)


def alike(x: Array, *others: Array) -> bool:
    """Accept C-contiguous arrays of one floating-point dtype, the first of them not empty."""
    return x.size > 0 and contiguous(x, *others) and all(a.dtype == x.dtype for a in others) and real(x) is not None


def _normalizes(y: Array, *others: Array, epsilon: float) -> bool:
    return alike(y, *others) and Down(FILE, y).compiles_stages("batch_norm")


def _normalizes_to_relu(mean: Array, variance: Array, y: Array, *ins: Array, stages: Stages) -> bool:
    return alike(y, mean, variance, *ins) and Down(FILE, y, True).compiles_stages("batch_norm")


def _normalize(outs: tuple[Array, ...], ins: tuple[Array, ...], epsilon: float, relu: bool) -> None:
    y, x = outs[0], ins[0]
    down, small = Down(FILE, x, relu), sum_type(x.dtype)(epsilon)
    if down.parts == 1:
        down.start("batch_norm", (y, x), (*outs, *ins), small)
        return
    moments = down.scratch(3)
    down.start("batch_norm_parts", (x,), (moments, x))
    down.start("batch_norm_whole", (y, x), (*outs, *ins, moments), small)


@accelerates("batch_norm", device="cuda", supports=_normalizes)
def batch_norm(y: Array, mean: Array, variance: Array, x: Array, gamma: Array, beta: Array, *, epsilon: float) -> None:
    """Normalize x (..., C) by the statistics of its rows: y (..., C), mean, variance, gamma, beta (C,)."""
    _normalize((y, mean, variance), (x, gamma, beta), epsilon, False)


@accelerates("batch_norm+relu", device="cuda", supports=_normalizes_to_relu)
def batch_norm_relu(
    mean: Array, variance: Array, y: Array, x: Array, gamma: Array, beta: Array, *, stages: Stages
) -> None:
    """Compute relu(batch_norm(x)), and the statistics."""
    _normalize((y, mean, variance), (x, gamma, beta), stages[0]["epsilon"], True)


def _scaling(y: Array, relu: bool = False) -> Down:
    return Down(FILE, y, relu, MOVES)


def _scales(y: Array, *ins: Array) -> bool:
    return alike(y, *ins) and _scaling(y).compiles("scale_shift")


def _scales_to_relu(y: Array, *ins: Array, stages: Stages) -> bool:
    return alike(y, *ins) and _scaling(y, True).compiles("scale_shift")


@accelerates("scale_shift", device="cuda", supports=_scales, first=True)  # before the generated kernel
def scale_shift(y: Array, x: Array, center: Array, scale: Array, shift: Array) -> None:
    """Compute y = (x - center) * scale + shift: x, y (..., C), the others (C,)."""
    _scaling(y).start("scale_shift", (y, x), (y, x, center, scale, shift))


@accelerates("scale_shift+relu", device="cuda", supports=_scales_to_relu)
def scale_shift_relu(y: Array, x: Array, center: Array, scale: Array, shift: Array, *, stages: Stages) -> None:
    """Compute relu((x - center) * scale + shift)."""
    _scaling(y, True).start("scale_shift", (y, x), (y, x, center, scale, shift))
