"""Cases of LSTM and GRU: row by row of the batch and step by step, in Python's numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from contract_cases.contract import REAL, Contract, Rng, Sample, normal

Arrays = tuple[np.ndarray, ...]


def sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v))


def product(row: list[float], matrix: np.ndarray) -> list[float]:
    return [math.fsum(a * b for a, b in zip(row, column, strict=True)) for column in matrix.T.tolist()]


def order(steps: int, reverse: bool) -> list[int]:
    return list(range(steps - 1, -1, -1) if reverse else range(steps))


def blocks(values: list[float], count: int) -> list[list[float]]:
    size = len(values) // count
    return [values[k * size : (k + 1) * size] for k in range(count)]


def lstm(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    mask: np.ndarray,
    reverse: bool = False,
) -> Arrays:
    hs, cells = (np.empty((*x.shape[:2], len(kernel))) for _ in range(2))
    gates = np.empty(x.shape)
    last = h0.copy(), c0.copy()
    for b in range(len(x)):
        h, c = h0[b].tolist(), c0[b].tolist()
        for t in order(x.shape[1], reverse):
            z = [p + q + r for p, q, r in zip(x[b, t].tolist(), product(h, kernel), bias.tolist(), strict=True)]
            i, f, g, o = blocks(z, 4)
            i, f, g, o = [*map(sigmoid, i)], [*map(sigmoid, f)], [*map(math.tanh, g)], [*map(sigmoid, o)]
            gates[b, t] = i + f + g + o
            if mask[b, t]:
                c = [fk * ck + ik * gk for fk, ck, ik, gk in zip(f, c, i, g, strict=True)]
                h = [ok * math.tanh(ck) for ok, ck in zip(o, c, strict=True)]
            hs[b, t], cells[b, t] = h, c
        last[0][b], last[1][b] = h, c
    return hs, *last, gates, cells


def gru(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, h0: np.ndarray, mask: np.ndarray, reverse: bool = False
) -> Arrays:
    units = len(kernel)
    hs, gates, last = np.empty((*x.shape[:2], units)), np.empty((*x.shape[:2], 4 * units)), h0.copy()
    for b in range(len(x)):
        h = h0[b].tolist()
        for t in order(x.shape[1], reverse):
            y = [p + q for p, q in zip(product(h, kernel), bias.tolist(), strict=True)]
            of_x, of_h = blocks(x[b, t].tolist(), 3), blocks(y, 3)
            z, r = ([sigmoid(p + q) for p, q in zip(of_x[k], of_h[k], strict=True)] for k in range(2))
            new = [math.tanh(p + q * s) for p, q, s in zip(of_x[2], of_h[2], r, strict=True)]
            gates[b, t] = z + r + of_h[2] + new
            if mask[b, t]:
                h = [p * q + (1 - p) * s for p, q, s in zip(z, h, new, strict=True)]
            hs[b, t] = h
        last[b] = h
    return hs, last, gates


def small(rng: Rng, units: int, count: int) -> np.ndarray:
    """Return a recurrent kernel by which errors do not grow from step to step, exact in float32."""
    matrix: np.ndarray = normal(rng, units, count * units) / 2 ** math.ceil(math.log2(8 * units))
    return matrix


def masked(rng: Rng, batch: int, time: int, share: float) -> np.ndarray:
    return rng.random((batch, time)) >= share


Setting = tuple[Any, ...]


def lstm_make(rng: Rng, batch: int, time: int, units: int, share: float = 0.0, reverse: bool = False) -> Sample:
    states = normal(rng, batch, units), normal(rng, batch, units)
    x, mask = normal(rng, batch, time, 4 * units), masked(rng, batch, time, share)
    return Sample((x, small(rng, units, 4), normal(rng, 4 * units), *states, mask), {"reverse": reverse})


def gru_make(rng: Rng, batch: int, time: int, units: int, share: float = 0.0, reverse: bool = False) -> Sample:
    x, mask = normal(rng, batch, time, 3 * units), masked(rng, batch, time, share)
    return Sample(
        (x, small(rng, units, 3), normal(rng, 3 * units), normal(rng, batch, units), mask), {"reverse": reverse}
    )


def draw(rng: Rng) -> Setting:
    """Return a batch of a tile or several, and units of a panel or several, whole or not."""
    units = int(rng.choice([1, 5, 16, 19, 33, 131]))
    batch = int(rng.integers(1, 14 if units < 131 else 3))
    return batch, int(rng.integers(1, 4)), units, float(rng.choice([0, 0.4])), bool(rng.random() < 0.5)


def rounded(sample: Sample) -> float:
    """Return the roundings of a sum over the units, and some more, in each step."""
    kernel = next(a for a in sample.inputs if a.ndim == 2 and a.shape[1] in (3 * len(a), 4 * len(a)))
    steps = next(a.shape[1] for a in sample.inputs if a.dtype == bool)
    return float(steps * (len(kernel) + 30))


def sizes(oracle: Any) -> Any:
    """Return the magnitude of what is added up, that of the largest number of each result."""

    def magnitude(*inputs: np.ndarray, reverse: bool) -> Arrays:
        outs = oracle(*inputs, reverse=reverse)
        return tuple(np.full(out.shape, 2 + np.abs(out).max(initial=0)) for out in outs)

    return magnitude


SETTINGS: list[Setting] = [(2, 3, 2), (1, 1, 1), (3, 4, 2, 0.5), (2, 3, 3, 0.5, True), (2, 2, 3, 0.0, True), (0, 2, 2)]
X, H, MASK = np.ones((2, 5, 12)), np.ones((2, 3)), np.ones((2, 5), bool)
K, K3, B = np.ones((3, 12)), np.ones((3, 9)), np.ones(12)
G, X3 = np.ones((2, 5, 3)), np.ones((2, 5, 9))

CONTRACTS = [
    Contract(
        "lstm",
        lstm,
        lstm_make,
        SETTINGS,
        draw,
        [
            Sample((X[:, :0], K, B, H, H, MASK[:, :0])),
            Sample((X[0], K, B, H, H, MASK)),
            Sample((X, K3, B, H, H, MASK)),
            Sample((X3, K, B, H, H, MASK)),
            Sample((X, K, B[1:], H, H, MASK)),
            Sample((X, K, B, H[:1], H, MASK)),
            Sample((X, K, B, H, np.ones((2, 4)), MASK)),
            Sample((X, K, B, H, H, MASK[:, :4])),
            Sample((X, K, B, H, H, np.ones((2, 5)))),
            Sample((X.astype(int), K, B, H, H, MASK)),
        ],
        rounded,
        sizes(lstm),
        REAL,
    ),
    Contract(
        "gru",
        gru,
        gru_make,
        SETTINGS,
        draw,
        [
            Sample((X, K3, np.ones(9), H, MASK)),
            Sample((X3, K3, np.ones(8), H, MASK)),
            Sample((X3, K3, np.ones(9, int), H, MASK)),
            Sample((X3, K3, np.ones(9), H[:, :2], MASK)),
        ],
        rounded,
        sizes(gru),
        REAL,
    ),
]
