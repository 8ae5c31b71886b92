"""The gradients of LSTM and GRU, by the kernels of `rnn_grad.cu`: one a step back, and one more for the first state.

Gradients of states are kept where those of the first ones are returned. That of the bias is a sum over all steps.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..geometry import Group
from ..registry import accelerates
from .launch import Array
from .reduce import reduce, reduces
from .rnn_steps import Steps, supported


def _steps(name: str, slopes: Array, units: int, reverse: bool) -> Steps:
    batch, time, wide = slopes.shape
    return Steps("rnn_grad.cu", name, batch, time, units, wide, reverse)


def _all_steps(slopes: Array) -> Group:
    batch, time, wide = slopes.shape
    return 1, batch * time, wide


def _compiles(name: str, dx: Array, *others: Array, reverse: bool = False) -> bool:
    if not supported(dx, *others):
        return False
    dbias, dh = (others[0], others[1]) if name.startswith("lstm") else (others[1], others[2])
    steps = _steps(name, dx, dh.shape[1], reverse)
    return steps.kernel((dx, *others)) is not None and reduces("sum", _all_steps(dx), dbias, dx)


@accelerates("lstm_grad", device="cuda", supports=partial(_compiles, "lstm_grad_step"))
def lstm_grad(
    dx: Array,
    dbias: Array,
    dh: Array,
    dc: Array,
    g_h: Array,
    g_c: Array,
    kernel: Array,
    *others: Array,
    reverse: bool = False,
) -> None:
    """Compute the gradients for x, bias, h0 and c0; `others` as in the op, from the gates on."""
    steps, every = _steps("lstm_grad_step", dx, dh.shape[1], reverse), others[4:]
    arrays = (dx, dh, dc, g_h, g_c, kernel, *others[:4], *(every or (g_h,)))
    steps.start(arrays, (dx, kernel), np.int32(len(every)), back=True)
    reduce("sum", _all_steps(dx), dbias, dx)


@accelerates("gru_grad", device="cuda", supports=partial(_compiles, "gru_grad_step"))
def gru_grad(
    dx: Array, dy: Array, dbias: Array, dh: Array, g_h: Array, kernel: Array, *others: Array, reverse: bool = False
) -> None:
    """Compute the gradients for x, h @ kernel, bias and h0; `others` as in the op, from the gates on."""
    steps, every = _steps("gru_grad_step", dy, dh.shape[1], reverse), others[4:]
    arrays = (dx, dy, dh, g_h, kernel, *others[:4], *(every or (g_h,)))
    steps.start(arrays, (dy, kernel), np.int32(len(every)), back=True)
    reduce("sum", _all_steps(dy), dbias, dy)
