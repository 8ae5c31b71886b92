"""LSTM and GRU over a whole sequence, by the kernels of `rnn.cu`: one a step, with the gates behind the product."""

from __future__ import annotations

from functools import partial

from ..registry import accelerates
from .launch import Array
from .rnn_steps import Steps, supported


def _steps(name: str, hs: Array, reverse: bool) -> Steps:
    batch, time, units = hs.shape
    return Steps("rnn.cu", name, batch, time, units, units, reverse)


def _compiles(name: str, hs: Array, *others: Array, reverse: bool = False) -> bool:
    return supported(hs, *others) and _steps(name, hs, reverse).kernel((hs, *others)) is not None


def _start(
    name: str, outs: tuple[Array, ...], x: Array, kernel: Array, others: tuple[Array, ...], reverse: bool
) -> None:
    """Launch the steps, with the kernel transposed, so that the terms of a sum are contiguous."""
    import cupy

    hs, h0, turned = outs[0], others[1], cupy.empty(kernel.shape[::-1], kernel.dtype)
    turned[...] = cupy.transpose(kernel)
    _steps(name, hs, reverse).start((*outs, x, turned, *others), (hs, h0, turned))


@accelerates("lstm", device="cuda", supports=partial(_compiles, "lstm_step"))
def lstm(
    hs: Array,
    h_last: Array,
    c_last: Array,
    gates: Array,
    cells: Array,
    x: Array,
    kernel: Array,
    *others: Array,
    reverse: bool = False,
) -> None:
    """Compute an LSTM: x (batch, time, 4 * units), kernel (units, 4 * units); `others` are bias, h0, c0 and mask."""
    _start("lstm_step", (hs, h_last, c_last, gates, cells), x, kernel, others, reverse)


@accelerates("gru", device="cuda", supports=partial(_compiles, "gru_step"))
def gru(hs: Array, h_last: Array, gates: Array, x: Array, kernel: Array, *others: Array, reverse: bool = False) -> None:
    """Compute a GRU: x (batch, time, 3 * units), kernel (units, 3 * units); `others` are bias, h0 and mask."""
    _start("gru_step", (hs, h_last, gates), x, kernel, others, reverse)
