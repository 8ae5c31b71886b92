"""The gradients of LSTM and GRU: each worker takes some rows of the batch back through all steps, as in `rnn`.

The gradients with respect to the first states are where those of the current ones are kept. Loops over a row write one
array each, two at most, so that LLVM needs few comparisons of addresses to vectorise them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..registry import accelerates
from .machine.memory import add, clear, copy
from .machine.prebound import ParallelLoop, share
from .machine.threads import inner
from .machine.transcendental import tanh
from .rnn_rows import Place, factor_of, multiply, pieces_of, step_at, steps_of, supported


class _Lstm(NamedTuple):
    """The arrays of the gradient of an LSTM, flat; without steps `g` is empty."""

    dx: ndarray
    dh: ndarray
    dc: ndarray
    g: ndarray
    g_h: ndarray
    g_c: ndarray
    gates: ndarray
    cells: ndarray
    c0: ndarray


class _Gru(NamedTuple):
    """The arrays of the gradient of a GRU, flat; without steps `g` is empty."""

    dx: ndarray
    dy: ndarray
    dh: ndarray
    g: ndarray
    g_h: ndarray
    gates: ndarray
    hs: ndarray
    h0: ndarray


@inner
def _lstm_row(it: _Lstm, at: int, row: int, old: ndarray, last: int, units: int) -> None:
    """Compute the gradient of the gates of one row in one step, and the gradients of c before and after it."""
    one, zero, u = it.dx.dtype.type(1), it.dx.dtype.type(0), np.uintp(units)
    c, h, before, i = np.uintp(at), np.uintp(row), np.uintp(last), np.uintp(4 * at)
    f, g, o = i + u, i + u + u, i + u + u + u
    for k in range(u):
        s = tanh(it.cells[c + k])
        slope = it.dh[h + k] * it.gates[o + k]
        it.dx[o + k] = slope * s * (one - it.gates[o + k])
        it.dc[h + k] += slope * (one - s * s)
    for k in range(u):
        it.dx[i + k] = it.dc[h + k] * it.gates[g + k] * it.gates[i + k] * (one - it.gates[i + k])
    for k in range(u):
        it.dx[g + k] = it.dc[h + k] * it.gates[i + k] * (one - it.gates[g + k] * it.gates[g + k])
    for k in range(u):
        slope = it.dc[h + k] * it.gates[f + k]
        it.dx[f + k] = slope * old[before + k] * (one - it.gates[f + k])
        it.dc[h + k] = slope
    for k in range(u):
        it.dh[h + k] = zero


@ParallelLoop
def _lstm(worker, workers, steps, factor, it):  # type: ignore[no-untyped-def]
    time, units = steps.mask.shape[1], steps.units
    wide = 4 * units
    for piece in share(pieces_of(steps), worker, workers):
        row = piece * steps.high
        end = min(row + steps.high, len(steps.mask))
        copy(it.dh, row * units, it.g_h, row * units, (end - row) * units)
        copy(it.dc, row * units, it.g_c, row * units, (end - row) * units)
        for n in range(time - 1, -1, -1):
            t, before = step_at(steps, n)
            for b in range(row, end):
                at = (b * time + t) * units
                if len(it.g):
                    add(it.dh, b * units, it.g, at, units)
                if steps.mask[b, t]:
                    last = (b * time + before) * units if n else b * units
                    _lstm_row(it, at, b * units, it.cells if n else it.c0, last, units)
                else:
                    clear(it.dx, 4 * at, wide)
            of_gates = Place(it.dx, t * wide, steps.wide)
            multiply(factor, of_gates, Place(it.dh, 0, steps.single), row, end - row, 1, it.dh[:0])


@accelerates("lstm_grad", device="cpu", supports=supported)
def lstm_grad(
    dx: ndarray,
    dh: ndarray,
    dc: ndarray,
    g: ndarray,
    g_h: ndarray,
    g_c: ndarray,
    kernel: ndarray,
    *kept: ndarray,
    reverse: bool = False,
) -> None:
    """Compute the gradients with respect to x, h0 and c0; `kept` are the gates, c of all steps, c0 and the mask."""
    gates, cells, c0, mask = kept
    steps = steps_of(mask, len(kernel), dx.shape[2], reverse)
    it = _Lstm(*(a.reshape(-1) for a in (dx, dh, dc, g, g_h, g_c, gates, cells, c0)))
    _lstm(dx.size * len(kernel), steps, factor_of(kernel, transposed=True), it)


@inner
def _gru_row(it: _Gru, at: int, row: int, old: ndarray, last: int, units: int) -> None:
    """Compute the gradient of the gates of one row in one step, and what of that of h does not pass through them."""
    one, u = it.dx.dtype.type(1), np.uintp(units)
    h, before, z, dz = np.uintp(row), np.uintp(last), np.uintp(4 * at), np.uintp(3 * at)
    r, y, new, dr, dnew = z + u, z + u + u, z + u + u + u, dz + u, dz + u + u
    for k in range(u):
        it.dx[dnew + k] = it.dh[h + k] * (one - it.gates[z + k]) * (one - it.gates[new + k] * it.gates[new + k])
    for k in range(u):
        moved = old[before + k] - it.gates[new + k]
        it.dx[dz + k] = it.dh[h + k] * moved * it.gates[z + k] * (one - it.gates[z + k])
    for k in range(u):
        it.dx[dr + k] = it.dx[dnew + k] * it.gates[y + k] * it.gates[r + k] * (one - it.gates[r + k])
    copy(it.dy, 3 * at, it.dx, 3 * at, 2 * units)
    for k in range(u):
        it.dy[dnew + k] = it.dx[dnew + k] * it.gates[r + k]
    for k in range(u):
        it.dh[h + k] *= it.gates[z + k]


@ParallelLoop
def _gru(worker, workers, steps, factor, it):  # type: ignore[no-untyped-def]
    time, units = steps.mask.shape[1], steps.units
    for piece in share(pieces_of(steps), worker, workers):
        row = piece * steps.high
        end = min(row + steps.high, len(steps.mask))
        copy(it.dh, row * units, it.g_h, row * units, (end - row) * units)
        for n in range(time - 1, -1, -1):
            t, before = step_at(steps, n)
            for b in range(row, end):
                at = (b * time + t) * units
                if len(it.g):
                    add(it.dh, b * units, it.g, at, units)
                if steps.mask[b, t]:
                    last = (b * time + before) * units if n else b * units
                    _gru_row(it, at, b * units, it.hs if n else it.h0, last, units)
                else:
                    clear(it.dx, 3 * at, 3 * units)
                    clear(it.dy, 3 * at, 3 * units)
            of_gates = Place(it.dy, t * 3 * units, steps.wide)
            multiply(factor, of_gates, Place(it.dh, 0, steps.single), row, end - row, 1, it.dh[:0])


@accelerates("gru_grad", device="cpu", supports=supported)
def gru_grad(
    dx: ndarray,
    dy: ndarray,
    dh: ndarray,
    g: ndarray,
    g_h: ndarray,
    kernel: ndarray,
    *kept: ndarray,
    reverse: bool = False,
) -> None:
    """Compute the gradients with respect to x, to h @ kernel + bias and to h0; `kept` are gates, states, h0, mask."""
    gates, hs, h0, mask = kept
    steps = steps_of(mask, len(kernel), dx.shape[2], reverse)
    it = _Gru(*(a.reshape(-1) for a in (dx, dy, dh, g, g_h, gates, hs, h0)))
    _gru(dx.size * len(kernel), steps, factor_of(kernel, transposed=True), it)
