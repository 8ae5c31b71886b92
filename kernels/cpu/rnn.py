"""LSTM and GRU over a whole sequence: each worker takes some rows of the batch through all steps.

The rows of a batch do not depend on each other, so that no worker waits for another between two steps, and the states
of its rows stay in its cache, as does the recurrent kernel, which is packed into panels once. In each step one product
writes what the states contribute to the gates to where the gates are kept, and loops over each row follow it, of one
result each, which LLVM vectorises.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..registry import accelerates
from .machine.memory import copy
from .machine.prebound import ParallelLoop, share
from .machine.threads import inner
from .machine.transcendental import exp, tanh
from .rnn_rows import Place, factor_of, multiply, pieces_of, step_at, steps_of, supported


class _Lstm(NamedTuple):
    """The arrays of an LSTM, flat."""

    hs: ndarray
    h_last: ndarray
    c_last: ndarray
    gates: ndarray
    cells: ndarray
    x: ndarray
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


@inner
def _sigmoids(to: ndarray, at: int, x: ndarray, first: int, count: int) -> None:
    """Set to[at : at + count] to the sigmoids of its sums with x[first : first + count]."""
    t, s, zero, one = np.uintp(at), np.uintp(first), to.dtype.type(0), to.dtype.type(1)
    for k in range(np.uintp(count)):
        z = to[t + k] + x[s + k]
        e = exp(-abs(z))  # cannot overflow
        to[t + k] = (one if z >= zero else e) / (one + e)


@inner
def _tanhs(to: ndarray, at: int, x: ndarray, first: int, count: int) -> None:
    """Set to[at : at + count] to the tanh of its sums with x[first : first + count]."""
    t, s = np.uintp(at), np.uintp(first)
    for k in range(np.uintp(count)):
        to[t + k] = tanh(to[t + k] + x[s + k])


@ParallelLoop
def _lstm(worker, workers, steps, factor, it):  # type: ignore[no-untyped-def]
    time, units = steps.mask.shape[1], steps.units
    u, wide = np.uintp(units), 4 * units
    for piece in share(pieces_of(steps), worker, workers):
        row = piece * steps.high
        end = min(row + steps.high, len(steps.mask))
        for n in range(time):
            t, before = step_at(steps, n)
            a = Place(it.hs, before * units, steps.each) if n else Place(it.h0, 0, steps.single)
            multiply(factor, a, Place(it.gates, t * wide, steps.wide), row, end - row, 0, it.h0[:0])
            old = it.cells if n else it.c0
            for b in range(row, end):
                at, gate = (b * time + t) * units, (b * time + t) * wide
                last = (b * time + before) * units if n else b * units
                _sigmoids(it.gates, gate, it.x, gate, 2 * units)
                _tanhs(it.gates, gate + 2 * units, it.x, gate + 2 * units, units)
                _sigmoids(it.gates, gate + 3 * units, it.x, gate + 3 * units, units)
                if not steps.mask[b, t]:
                    copy(it.hs, at, it.hs if n else it.h0, last, units)
                    copy(it.cells, at, old, last, units)
                    continue
                h, c, i = np.uintp(at), np.uintp(last), np.uintp(gate)
                f, g, o = i + u, i + u + u, i + u + u + u
                for k in range(u):
                    it.cells[h + k] = it.gates[f + k] * old[c + k] + it.gates[i + k] * it.gates[g + k]
                for k in range(u):
                    it.hs[h + k] = it.gates[o + k] * tanh(it.cells[h + k])
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
    *states: ndarray,
    reverse: bool = False,
) -> None:
    """Compute an LSTM: x (batch, time, 4 * units), kernel (units, 4 * units), h0, c0 and a mask as `states`."""
    h0, c0, mask = states
    steps = steps_of(mask, len(kernel), x.shape[2], reverse)
    it = _Lstm(*(a.reshape(-1) for a in (hs, h_last, c_last, gates, cells, x, h0, c0)))
    _lstm(x.size * len(kernel), steps, factor_of(kernel), it)


@ParallelLoop
def _gru(worker, workers, steps, factor, it):  # type: ignore[no-untyped-def]
    time, units = steps.mask.shape[1], steps.units
    u, wide = np.uintp(units), 4 * units
    one = it.hs.dtype.type(1)
    for piece in share(pieces_of(steps), worker, workers):
        row = piece * steps.high
        end = min(row + steps.high, len(steps.mask))
        for n in range(time):
            t, before = step_at(steps, n)
            a = Place(it.hs, before * units, steps.each) if n else Place(it.h0, 0, steps.single)
            multiply(factor, a, Place(it.gates, t * wide, steps.wide), row, end - row, 0, it.bias)
            old = it.hs if n else it.h0
            for b in range(row, end):
                at, gate, of_x = (b * time + t) * units, (b * time + t) * wide, (b * time + t) * 3 * units
                last = (b * time + before) * units if n else b * units
                _sigmoids(it.gates, gate, it.x, of_x, 2 * units)
                h, before_h, z, third = np.uintp(at), np.uintp(last), np.uintp(gate), np.uintp(of_x) + u + u
                r, y, new = z + u, z + u + u, z + u + u + u
                for k in range(u):
                    it.gates[new + k] = tanh(it.x[third + k] + it.gates[r + k] * it.gates[y + k])
                if not steps.mask[b, t]:
                    copy(it.hs, at, old, last, units)
                    continue
                for k in range(u):
                    it.hs[h + k] = it.gates[z + k] * old[before_h + k] + (one - it.gates[z + k]) * it.gates[new + k]
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
