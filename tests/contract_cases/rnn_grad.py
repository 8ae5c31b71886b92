"""Cases of the gradients of LSTM and GRU: row by row of the batch and step by step, in Python's numbers."""

from __future__ import annotations

import math

import numpy as np

from contract_cases.contract import REAL, Contract, Rng, Sample, normal, positive
from contract_cases.rnn import (
    K3,
    MASK,
    SETTINGS,
    X3,
    Arrays,
    G,
    H,
    K,
    Setting,
    X,
    blocks,
    draw,
    masked,
    order,
    product,
    rounded,
    sizes,
    small,
)


def lstm_grad(
    g_h: np.ndarray,
    g_c: np.ndarray,
    kernel: np.ndarray,
    gates: np.ndarray,
    cells: np.ndarray,
    c0: np.ndarray,
    mask: np.ndarray,
    *gs: np.ndarray,
    reverse: bool = False,
) -> Arrays:
    dx, dh0, dc0 = np.zeros(gates.shape), g_h.copy(), g_c.copy()
    for b in range(len(gates)):
        steps = order(gates.shape[1], reverse)
        for n in reversed(range(len(steps))):
            t = steps[n]
            for g in gs:
                dh0[b] += g[b, t]
            if not mask[b, t]:
                continue
            slopes: list[list[float]] = [[], [], [], []]
            before = cells[b, steps[n - 1]] if n else c0[b]
            for k, (i, f, c, o) in enumerate(zip(*blocks(gates[b, t].tolist(), 4), strict=True)):
                tanh, dh = math.tanh(cells[b, t, k]), dh0[b, k]
                dc = dc0[b, k] + dh * o * (1 - tanh**2)
                each = (
                    dc * c * i * (1 - i),
                    dc * before[k] * f * (1 - f),
                    dc * i * (1 - c**2),
                    dh * tanh * o * (1 - o),
                )
                for block, slope in zip(slopes, each, strict=True):
                    block.append(slope)
                dc0[b, k] = dc * f
            dx[b, t] = [slope for block in slopes for slope in block]
            dh0[b] = product(dx[b, t].tolist(), kernel.T)
    return dx, dx.sum(axis=(0, 1)), dh0, dc0


def gru_grad(
    g_h: np.ndarray,
    kernel: np.ndarray,
    gates: np.ndarray,
    hs: np.ndarray,
    h0: np.ndarray,
    mask: np.ndarray,
    *gs: np.ndarray,
    reverse: bool = False,
) -> Arrays:
    units = len(kernel)
    dx, dy, dh0 = (*(np.zeros((*gates.shape[:2], 3 * units)) for _ in range(2)), g_h.copy())
    for b in range(len(gates)):
        steps = order(gates.shape[1], reverse)
        for n in reversed(range(len(steps))):
            t = steps[n]
            for g in gs:
                dh0[b] += g[b, t]
            if not mask[b, t]:
                continue
            before, kept = hs[b, steps[n - 1]] if n else h0[b], []
            for k, (z, r, inner, new) in enumerate(zip(*blocks(gates[b, t].tolist(), 4), strict=True)):
                dh = dh0[b, k]
                of_new = dh * (1 - z) * (1 - new**2)
                at = k, units + k, 2 * units + k
                dx[b, t, at] = dh * (before[k] - new) * z * (1 - z), of_new * inner * r * (1 - r), of_new
                dy[b, t, at] = *dx[b, t, at[:2]], of_new * r
                kept.append(dh * z)
            dh0[b] = np.add(kept, product(dy[b, t].tolist(), kernel.T))
    return dx, dy, dy.sum(axis=(0, 1)), dh0


def recurrent_kernel_grad(hs: np.ndarray, h0: np.ndarray, slopes: np.ndarray, reverse: bool = False) -> np.ndarray:
    total = np.zeros((hs.shape[2], slopes.shape[2]))
    for b in range(len(hs)):
        before = h0[b]
        for t in order(hs.shape[1], reverse):
            total += np.multiply.outer(before, slopes[b, t])
            before = hs[b, t]
    return total


def kernel_grad_make(rng: Rng, batch: int, time: int, units: int, width: int, reverse: bool = False) -> Sample:
    arrays = normal(rng, batch, time, units), normal(rng, batch, units), normal(rng, batch, time, width)
    return Sample(arrays, {"reverse": reverse})


def lstm_grad_make(
    rng: Rng, batch: int, time: int, units: int, share: float = 0.0, reverse: bool = False, steps: bool = True
) -> Sample:
    g = normal(rng, batch, units), normal(rng, batch, units)
    gates = positive(rng, batch, time, 4 * units) / 2
    cells, c0, mask = normal(rng, batch, time, units), normal(rng, batch, units), masked(rng, batch, time, share)
    gs = [normal(rng, batch, time, units)] * steps
    return Sample((*g, small(rng, units, 4), gates, cells, c0, mask, *gs), {"reverse": reverse})


def gru_grad_make(
    rng: Rng, batch: int, time: int, units: int, share: float = 0.0, reverse: bool = False, steps: bool = True
) -> Sample:
    g = (normal(rng, batch, units),)
    gates = positive(rng, batch, time, 4 * units) / 2
    hs, h0, mask = normal(rng, batch, time, units), normal(rng, batch, units), masked(rng, batch, time, share)
    gs = [normal(rng, batch, time, units)] * steps
    return Sample((*g, small(rng, units, 3), gates, hs, h0, mask, *gs), {"reverse": reverse})


GRADIENTS: list[Setting] = [*SETTINGS, (2, 3, 2, 0.3, False, False)]

CONTRACTS = [
    Contract(
        "lstm_grad",
        lstm_grad,
        lstm_grad_make,
        GRADIENTS,
        draw,
        [
            Sample((H, H, K, X, G, H, MASK, G[:, :4])),
            Sample((H, H, K, X, G[:, :4], H, MASK)),
            Sample((H, H, K, X, G, H, MASK, G, G)),
            Sample((H[:1], H, K, X, G, H, MASK)),
            Sample((H, H, K, X3, G, H, MASK)),
        ],
        rounded,
        sizes(lstm_grad),
        REAL,
    ),
    Contract(
        "gru_grad",
        gru_grad,
        gru_grad_make,
        GRADIENTS,
        draw,
        [
            Sample((H, K3, X3, G, H, MASK)),
            Sample((H, K3, X, G, H, MASK, G[:, :4])),
            Sample((H, K3, X, G[:, :4], H, MASK)),
            Sample((H[:1], K3, X, G, H, MASK)),
        ],
        rounded,
        sizes(gru_grad),
        REAL,
    ),
    Contract(
        "recurrent_kernel_grad",
        recurrent_kernel_grad,
        kernel_grad_make,
        [(2, 3, 2, 5), (3, 2, 1, 4, True), (0, 2, 2, 3), (130, 4, 5, 7), (3, 300, 17, 35, True)],
        lambda rng: (int(rng.integers(1, 9)), int(rng.integers(90, 200)), int(rng.integers(1, 20)), 33),
        [Sample((G, H, X3[:, :4])), Sample((G, H[:1], X3)), Sample((G[0], H, X3))],
        lambda sample: sample.inputs[2].shape[0] * sample.inputs[2].shape[1] + 1,
        lambda hs, h0, slopes, reverse: recurrent_kernel_grad(*map(np.abs, (hs, h0, slopes)), reverse=reverse),
        REAL,
    ),
]
