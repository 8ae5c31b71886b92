"""Batch and layer normalization: the twins of `norm.cu`, `norm_grad.cu` and `layer_norm.cu`.

Where there are too many rows for one block of each tile of channels, a first kernel leaves what it knows of parts of
them in scratch memory, and each block of a second one puts the parts together for its channels before it goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import Stages, accelerates
from .launch import contiguous, function, index, real
from .sharing import ITEMS, MOVES, SUMS, columns, compiled, elements, lanes_of, macros, start_rows, sum_type

NORM, GRAD, LAYER = "norm.cu", "norm_grad.cu", "layer_norm.cu"


class _Down:
    """The kernels of a file that go down the columns of x (..., C).

    Args:
        file: their file.
        x: an array of the shape that they look at.
        relu: whether a ReLU follows the normalization.
        alone: as in `columns`.
    """

    def __init__(self, file: str, x: Any, relu: bool = False, alone: int = SUMS) -> None:
        self._file, self._x = file, x
        self._shares = columns((1, x.size // x.shape[-1], x.shape[-1]), x.dtype.itemsize, alone)
        self._macros = macros((x,), self._shares.width, GPUDL_RELU=int(relu))
        self.parts = self._shares.parts

    def compiles(self, *names: str) -> bool:
        """Tell whether all of these kernels compile."""
        return all(function(self._file, name, **self._macros) is not None for name in names)

    def compiles_stages(self, name: str) -> bool:
        """Tell whether kernel `name` compiles, or those for parts and for the whole do."""
        return self.compiles(*((name,) if self.parts == 1 else (f"{name}_parts", f"{name}_whole")))

    def scratch(self, numbers: int) -> Any:
        """Return memory for so many numbers for each channel of each part."""
        import cupy

        return cupy.empty((self.parts, numbers, self._x.shape[-1]), sum_type(self._x.dtype))

    def start(self, name: str, packed: tuple[Any, ...], args: tuple[Any, ...], *more: Any) -> None:
        """Start a kernel on `args` and `more`, of which it moves `packed` in Packs."""
        kernel = compiled(self._file, name, packed, self._macros)
        self._shares.start(kernel, args, index(self._x)[1], *more)


def _alike(x: Any, *others: Any) -> bool:
    return x.size > 0 and contiguous(x, *others) and all(a.dtype == x.dtype for a in others) and real(x) is not None


def _normalizes(y: Any, *others: Any, epsilon: float) -> bool:
    return _alike(y, *others) and _Down(NORM, y).compiles_stages("batch_norm")


def _normalizes_to_relu(mean: Any, variance: Any, y: Any, *ins: Any, stages: Stages) -> bool:
    return _alike(y, mean, variance, *ins) and _Down(NORM, y, True).compiles_stages("batch_norm")


def _normalize(outs: tuple[Any, ...], ins: tuple[Any, ...], epsilon: float, relu: bool) -> None:
    y, x = outs[0], ins[0]
    down, small = _Down(NORM, x, relu), sum_type(x.dtype)(epsilon)
    if down.parts == 1:
        down.start("batch_norm", (y, x), (*outs, *ins), small)
        return
    moments = down.scratch(3)
    down.start("batch_norm_parts", (x,), (moments, x))
    down.start("batch_norm_whole", (y, x), (*outs, *ins, moments), small)


@accelerates("batch_norm", device="cuda", takes=_normalizes)
def batch_norm(y: Any, mean: Any, variance: Any, x: Any, gamma: Any, beta: Any, *, epsilon: float) -> None:
    """Normalize x (..., C) by the statistics of its rows: y (..., C), mean, variance, gamma, beta (C,)."""
    _normalize((y, mean, variance), (x, gamma, beta), epsilon, False)


@accelerates("batch_norm+relu", device="cuda", takes=_normalizes_to_relu)
def batch_norm_relu(mean: Any, variance: Any, y: Any, x: Any, gamma: Any, beta: Any, *, stages: Stages) -> None:
    """Compute relu(batch_norm(x)), and the statistics."""
    _normalize((y, mean, variance), (x, gamma, beta), stages[0]["epsilon"], True)


def _scaling(y: Any, relu: bool = False) -> _Down:
    return _Down(NORM, y, relu, MOVES)


def _scales(y: Any, *ins: Any) -> bool:
    return _alike(y, *ins) and _scaling(y).compiles("scale_shift")


def _scales_to_relu(y: Any, *ins: Any, stages: Stages) -> bool:
    return _alike(y, *ins) and _scaling(y, True).compiles("scale_shift")


@accelerates("scale_shift", device="cuda", takes=_scales, first=True)  # before the generated kernel of any shapes
def scale_shift(y: Any, x: Any, center: Any, scale: Any, shift: Any) -> None:
    """Compute y = (x - center) * scale + shift: x, y (..., C), the others (C,)."""
    _scaling(y).start("scale_shift", (y, x), (y, x, center, scale, shift))


@accelerates("scale_shift+relu", device="cuda", takes=_scales_to_relu)
def scale_shift_relu(y: Any, x: Any, center: Any, scale: Any, shift: Any, *, stages: Stages) -> None:
    """Compute relu((x - center) * scale + shift)."""
    _scaling(y, True).start("scale_shift", (y, x), (y, x, center, scale, shift))


def _goes_back(dx: Any, *others: Any, epsilon: float) -> bool:
    return _alike(dx, *others) and _Down(GRAD, dx).compiles_stages("batch_norm_grad")


def _goes_back_from_relu(dx: Any, *others: Any, stages: Stages) -> bool:
    relu = stages[0]["activation"] == "relu"
    return relu and _alike(dx, *others) and _Down(GRAD, dx, True).compiles_stages("batch_norm_grad")


def _gradients(outs: tuple[Any, ...], ins: tuple[Any, ...], gamma: Any, epsilon: float, relu: bool) -> None:
    x = ins[2]
    down, small, packed = _Down(GRAD, x, relu), sum_type(x.dtype)(epsilon), (outs[0], *ins[:3])
    if down.parts == 1:
        down.start("batch_norm_grad", packed, (*outs, *ins, gamma), small)
        return
    sums = down.scratch(2)
    down.start("batch_norm_grad_parts", packed, (sums, *ins), small)
    down.start("batch_norm_grad_whole", packed, (*outs, *ins, gamma, sums), small)


@accelerates("batch_norm_grad", device="cuda", takes=_goes_back)
def batch_norm_grad(
    dx: Any, dgamma: Any, dbeta: Any, g: Any, x: Any, gamma: Any, mean: Any, variance: Any, *, epsilon: float
) -> None:
    """Compute the gradients of `batch_norm`: g, x, dx (..., C), the others (C,)."""
    _gradients((dx, dgamma, dbeta), (g, g, x, mean, variance), gamma, epsilon, False)


@accelerates("activation_grad+batch_norm_grad", device="cuda", takes=_goes_back_from_relu)
def activation_grad_batch_norm_grad(
    dx: Any, dgamma: Any, dbeta: Any, g: Any, y: Any, x: Any, gamma: Any, mean: Any, variance: Any, *, stages: Stages
) -> None:
    """Compute the gradients of `batch_norm` from that of a ReLU after it, whose result is y."""
    _gradients((dx, dgamma, dbeta), (g, y, x, mean, variance), gamma, stages[1]["epsilon"], True)


def _row_macros(x: Any) -> dict[str, str | int]:
    return macros((x,), elements(x.dtype.itemsize, x.shape[-1]))


def _by_rows(name: str, packed: tuple[Any, ...], args: tuple[Any, ...], x: Any, epsilon: float) -> None:
    given, length = _row_macros(x), x.shape[-1]
    wide, kind = int(given["GPUDL_WIDTH"]), index(x)[1]
    count, lanes = x.size // length, lanes_of(length // wide, ITEMS // wide)
    more = (kind(count), kind(length), np.int32(lanes), sum_type(x.dtype)(epsilon))
    start_rows(compiled(LAYER, name, packed, given), count, lanes, (*args, *more))


def _normalizes_rows(y: Any, *others: Any, epsilon: float) -> bool:
    return _alike(y, *others) and function(LAYER, "layer_norm", **_row_macros(y)) is not None


@accelerates("layer_norm", device="cuda", takes=_normalizes_rows)
def layer_norm(y: Any, mean: Any, variance: Any, x: Any, gamma: Any, beta: Any, *, epsilon: float) -> None:
    """Normalize each row of x (..., C): y (..., C), mean, variance (...), gamma, beta (C,)."""
    _by_rows("layer_norm", (y, x, gamma, beta), (y, mean, variance, x, gamma, beta), x, epsilon)


def _goes_back_by_rows(dx: Any, *others: Any, epsilon: float) -> bool:
    return (
        _alike(dx, *others)
        and function(LAYER, "layer_norm_input_grad", **_row_macros(dx)) is not None
        and _Down(GRAD, dx).compiles_stages("layer_norm_weight_grad")
    )


@accelerates("layer_norm_grad", device="cuda", takes=_goes_back_by_rows)
def layer_norm_grad(
    dx: Any, dgamma: Any, dbeta: Any, g: Any, x: Any, gamma: Any, mean: Any, variance: Any, *, epsilon: float
) -> None:
    """Compute the gradients of `layer_norm`: g, x, dx (..., C), mean, variance (...), the others (C,)."""
    _by_rows("layer_norm_input_grad", (dx, g, x, gamma), (dx, g, x, gamma, mean, variance), x, epsilon)
    down, small, ins = _Down(GRAD, x), sum_type(x.dtype)(epsilon), (g, g, x, mean, variance)
    if down.parts == 1:
        down.start("layer_norm_weight_grad", (g, x), (dgamma, dbeta, *ins), small)
        return
    sums = down.scratch(2)
    down.start("layer_norm_weight_grad_parts", (g, x), (sums, *ins), small)
    down.start("layer_norm_weight_grad_whole", (g, x), (dgamma, dbeta, sums))
