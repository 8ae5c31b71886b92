"""Layer normalization, by the kernels of `layer_norm.cu`, and for the gradients of the weights `norm_grad.cu`."""

from __future__ import annotations

import numpy as np

from ..registry import accelerates
from . import norm_grad
from .launch import Argument, Array, function, index
from .norm import Down, alike
from .sharing import ITEMS, compiled, elements, lanes_of, macros, start_rows, sum_type

FILE = "layer_norm.cu"


def _row_macros(x: Array) -> dict[str, str | int]:
    return macros((x,), elements(x.dtype.itemsize, x.shape[-1]))


def _by_rows(name: str, packed: tuple[Array, ...], args: tuple[Argument, ...], x: Array, epsilon: float) -> None:
    given, length = _row_macros(x), x.shape[-1]
    wide, kind = int(given["GPUDL_WIDTH"]), index(x)[1]
    count, lanes = x.size // length, lanes_of(length // wide, ITEMS // wide)
    more = (kind(count), kind(length), np.int32(lanes), sum_type(x.dtype)(epsilon))
    start_rows(compiled(FILE, name, packed, given), count, lanes, (*args, *more))


def _normalizes_rows(y: Array, *others: Array, epsilon: float) -> bool:
    return alike(y, *others) and function(FILE, "layer_norm", **_row_macros(y)) is not None


@accelerates("layer_norm", device="cuda", supports=_normalizes_rows)
def layer_norm(y: Array, mean: Array, variance: Array, x: Array, gamma: Array, beta: Array, *, epsilon: float) -> None:
    """Normalize each row of x (..., C): y (..., C), mean, variance (...), gamma, beta (C,)."""
    _by_rows("layer_norm", (y, x, gamma, beta), (y, mean, variance, x, gamma, beta), x, epsilon)


def _goes_back_by_rows(dx: Array, *others: Array, epsilon: float) -> bool:
    return (
        alike(dx, *others)
        and function(FILE, "layer_norm_input_grad", **_row_macros(dx)) is not None
        and Down(norm_grad.FILE, dx).compiles_stages("layer_norm_weight_grad")
    )


@accelerates("layer_norm_grad", device="cuda", supports=_goes_back_by_rows)
def layer_norm_grad(
    dx: Array,
    dgamma: Array,
    dbeta: Array,
    g: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float,
) -> None:
    """Compute the gradients of `layer_norm`: g, x, dx (..., C), mean, variance (...), the others (C,)."""
    _by_rows("layer_norm_input_grad", (dx, g, x, gamma), (dx, g, x, gamma, mean, variance), x, epsilon)
    down, small, ins = Down(norm_grad.FILE, x), sum_type(x.dtype)(epsilon), (g, g, x, mean, variance)
    if down.parts == 1:
        down.start("layer_norm_weight_grad", (g, x), (dgamma, dbeta, *ins), small)
        return
    sums = down.scratch(2)
    down.start("layer_norm_weight_grad_parts", (g, x), (sums, *ins), small)
    down.start("layer_norm_weight_grad_whole", (g, x), (dgamma, dbeta, sums))
