"""LSTM and GRU over a whole sequence: each worker takes some rows of the batch through all steps.

The rows of a batch do not depend on each other, so that no worker waits for another between two steps, and the states
of its rows stay in its cache, as does the recurrent kernel, which is packed into panels once. In each step one product
writes what the states contribute to the gates to where the gates are kept, and `machine.gates` does the rest in one
pass over each row.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy import ndarray

from ..registry import accelerates
from .machine.gates import gru_gates, lstm_gates
from .machine.memory import copy
from .machine.prebound import ParallelLoop, share
from .machine.tile import address
from .rnn_rows import Place, factor_of, multiply, pieces_of, row_of, step_at, steps_of, supported


class _Lstm(NamedTuple):
    """The arrays of an LSTM, flat."""

    hs: ndarray
    h_last: ndarray
    c_last: ndarray
    gates: ndarray
    cells: ndarray
    x: ndarray
    bias: ndarray
    h0: ndarray
    c0: ndarray


class _Gru(NamedTuple):
    """The arrays of a GRU, flat."""

    hs: ndarray
    h_last: ndarray
    gates: ndarray
    x: ndarray
    bias: ndarray
    h0: ndarray


@ParallelLoop
def _lstm(worker, workers, steps, factor, it):  # type: ignore[no-untyped-def]
    time, units = steps.mask.shape[1], steps.units
    wide = 4 * units
    for piece in share(pieces_of(steps), worker, workers):
        row = piece * steps.high
        end = min(row + steps.high, len(steps.mask))
        for n in range(time):
            t, before = step_at(steps, n)
            h = Place(it.hs, before * units, steps.each) if n else Place(it.h0, 0, steps.single)
            c = Place(it.cells, before * units, steps.each) if n else Place(it.c0, 0, steps.single)
            gates = Place(it.gates, t * wide, steps.wide)
            multiply(factor, h, gates, row, end - row, 0, it.bias)
            for b in range(row, end):
                at = (b * time + t) * units
                to_h, to_c = address(it.hs) + 4 * at, address(it.cells) + 4 * at
                lstm_gates(row_of(gates, b), address(it.x) + 16 * at, row_of(c, b), to_c, to_h, units)
                if not steps.mask[b, t]:
                    copy(it.hs, at, h.data, h.first + h.offsets[b], units)
                    copy(it.cells, at, c.data, c.first + c.offsets[b], units)
        t, _ = step_at(steps, time - 1)
        for b in range(row, end):
            copy(it.h_last, b * units, it.hs, (b * time + t) * units, units)
            copy(it.c_last, b * units, it.cells, (b * time + t) * units, units)


@accelerates("lstm", device="cpu", supports=supported)
def lstm(
    hs: ndarray,
    h_last: ndarray,
    c_last: ndarray,
    gates: ndarray,
    cells: ndarray,
    x: ndarray,
    kernel: ndarray,
    *others: ndarray,
    reverse: bool = False,
) -> None:
    """Compute an LSTM: x (batch, time, 4 * units), kernel (units, 4 * units); `others` are bias, h0, c0 and mask."""
    bias, h0, c0, mask = others
    steps = steps_of(mask, len(kernel), x.shape[2], reverse)
    it = _Lstm(*(a.reshape(-1) for a in (hs, h_last, c_last, gates, cells, x, bias, h0, c0)))
    _lstm(x.size * len(kernel), steps, factor_of(kernel), it)


@ParallelLoop
def _gru(worker, workers, steps, factor, it):  # type: ignore[no-untyped-def]
    time, units = steps.mask.shape[1], steps.units
    wide = 4 * units
    for piece in share(pieces_of(steps), worker, workers):
        row = piece * steps.high
        end = min(row + steps.high, len(steps.mask))
        for n in range(time):
            t, before = step_at(steps, n)
            h = Place(it.hs, before * units, steps.each) if n else Place(it.h0, 0, steps.single)
            gates = Place(it.gates, t * wide, steps.wide)
            multiply(factor, h, gates, row, end - row, 0, it.bias)
            for b in range(row, end):
                at = (b * time + t) * units
                x, to = address(it.x) + 12 * at, address(it.hs) + 4 * at
                gru_gates(row_of(gates, b), x, row_of(h, b), to, units)
                if not steps.mask[b, t]:
                    copy(it.hs, at, h.data, h.first + h.offsets[b], units)
        t, _ = step_at(steps, time - 1)
        for b in range(row, end):
            copy(it.h_last, b * units, it.hs, (b * time + t) * units, units)


@accelerates("gru", device="cpu", supports=supported)
def gru(
    hs: ndarray,
    h_last: ndarray,
    gates: ndarray,
    x: ndarray,
    kernel: ndarray,
    bias: ndarray,
    h0: ndarray,
    mask: ndarray,
    *,
    reverse: bool = False,
) -> None:
    """Compute a GRU: x (batch, time, 3 * units), kernel (units, 3 * units), bias (3 * units,), h0 (batch, units)."""
    steps = steps_of(mask, len(kernel), gates.shape[2], reverse)
    it = _Gru(*(a.reshape(-1) for a in (hs, h_last, gates, x, bias, h0)))
    _gru(x.size * len(kernel), steps, factor_of(kernel), it)
