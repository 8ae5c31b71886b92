"""The gradients of LSTM and GRU: each worker takes some rows of the batch back through all steps, as in `rnn`.

The gradients with respect to the first states are where those of the current ones are kept.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy import ndarray

from ..registry import accelerates
from .machine.gates import gru_gate_slopes, lstm_gate_slopes
from .machine.memory import add, clear, copy
from .machine.prebound import ParallelLoop, share
from .machine.scratch import NO_FLOATS, scratch
from .machine.tile import address
from .rnn_rows import Place, added, factor_of, multiply, pieces_of, row_of, step_at, steps_of, supported


class _Lstm(NamedTuple):
    """The arrays of the gradient of an LSTM, flat; `sums` are those of dx over the steps, `g` may be empty."""

    dx: ndarray
    sums: ndarray
    dh: ndarray
    dc: ndarray
    g: ndarray
    g_h: ndarray
    g_c: ndarray
    gates: ndarray
    cells: ndarray
    c0: ndarray


class _Gru(NamedTuple):
    """The arrays of the gradient of a GRU, flat; `sums` are those of dy over the steps, `g` may be empty."""

    dx: ndarray
    dy: ndarray
    sums: ndarray
    dh: ndarray
    g: ndarray
    g_h: ndarray
    gates: ndarray
    hs: ndarray
    h0: ndarray


@ParallelLoop
def _lstm(worker, workers, steps, factor, it):  # type: ignore[no-untyped-def]
    time, units = steps.mask.shape[1], steps.units
    wide = 4 * units
    for piece in share(pieces_of(steps), worker, workers):
        row = piece * steps.high
        end = min(row + steps.high, len(steps.mask))
        copy(it.dh, row * units, it.g_h, row * units, (end - row) * units)
        copy(it.dc, row * units, it.g_c, row * units, (end - row) * units)
        clear(it.sums, row * wide, (end - row) * wide)
        for n in range(time - 1, -1, -1):
            t, before = step_at(steps, n)
            c = Place(it.cells, before * units, steps.each) if n else Place(it.c0, 0, steps.single)
            for b in range(row, end):
                at = (b * time + t) * units
                if len(it.g):
                    add(it.dh, b * units, it.g, at, units)
                if steps.mask[b, t]:
                    gates, dx, now = (address(it.gates) + 16 * at, address(it.dx) + 16 * at, address(it.cells) + 4 * at)
                    dh, dc = address(it.dh) + 4 * b * units, address(it.dc) + 4 * b * units
                    sums = address(it.sums) + 16 * b * units
                    lstm_gate_slopes(gates, row_of(c, b), now, dx, sums, dh, dc, units)
                else:
                    clear(it.dx, 4 * at, wide)
            of_gates = Place(it.dx, t * wide, steps.wide)
            multiply(factor, of_gates, Place(it.dh, 0, steps.single), row, end - row, 1, it.dh[:0])


@accelerates("lstm_grad", device="cpu", supports=supported)
def lstm_grad(
    dx: ndarray,
    dbias: ndarray,
    dh: ndarray,
    dc: ndarray,
    g_h: ndarray,
    g_c: ndarray,
    *others: ndarray,
    reverse: bool = False,
) -> None:
    """Compute the gradients for x, bias, h0 and c0; `others` as in the op, from the kernel on."""
    kernel, gates, cells, c0, mask, *gs = others
    steps = steps_of(mask, len(kernel), dx.shape[2], reverse)
    sums = scratch(len(mask), dbias.size)
    it = _Lstm(*(a.reshape(-1) for a in (dx, sums, dh, dc, *(gs or [NO_FLOATS]), g_h, g_c, gates, cells, c0)))
    _lstm(dx.size * len(kernel), steps, factor_of(kernel, transposed=True), it)
    added(sums.size, dbias, sums)


@ParallelLoop
def _gru(worker, workers, steps, factor, it):  # type: ignore[no-untyped-def]
    time, units = steps.mask.shape[1], steps.units
    for piece in share(pieces_of(steps), worker, workers):
        row = piece * steps.high
        end = min(row + steps.high, len(steps.mask))
        copy(it.dh, row * units, it.g_h, row * units, (end - row) * units)
        clear(it.sums, row * 3 * units, (end - row) * 3 * units)
        for n in range(time - 1, -1, -1):
            t, before = step_at(steps, n)
            h = Place(it.hs, before * units, steps.each) if n else Place(it.h0, 0, steps.single)
            for b in range(row, end):
                at = (b * time + t) * units
                if len(it.g):
                    add(it.dh, b * units, it.g, at, units)
                if steps.mask[b, t]:
                    gates, dx, dy = (address(it.gates) + 16 * at, address(it.dx) + 12 * at, address(it.dy) + 12 * at)
                    dh, sums = address(it.dh) + 4 * b * units, address(it.sums) + 12 * b * units
                    gru_gate_slopes(gates, row_of(h, b), dx, dy, sums, dh, units)
                else:
                    clear(it.dx, 3 * at, 3 * units)
                    clear(it.dy, 3 * at, 3 * units)
            of_gates = Place(it.dy, t * 3 * units, steps.wide)
            multiply(factor, of_gates, Place(it.dh, 0, steps.single), row, end - row, 1, it.dh[:0])


@accelerates("gru_grad", device="cpu", supports=supported)
def gru_grad(
    dx: ndarray,
    dy: ndarray,
    dbias: ndarray,
    dh: ndarray,
    g_h: ndarray,
    *others: ndarray,
    reverse: bool = False,
) -> None:
    """Compute the gradients for x, h @ kernel, bias and h0; `others` as in the op, from the kernel on."""
    kernel, gates, hs, h0, mask, *gs = others
    steps = steps_of(mask, len(kernel), dx.shape[2], reverse)
    sums = scratch(len(mask), dbias.size)
    it = _Gru(*(a.reshape(-1) for a in (dx, dy, sums, dh, *(gs or [NO_FLOATS]), g_h, gates, hs, h0)))
    _gru(dx.size * len(kernel), steps, factor_of(kernel, transposed=True), it)
    added(sums.size, dbias, sums)
