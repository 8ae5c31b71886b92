"""Cases of the matrix product: one `math.fsum` per element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from contract_cases.contract import REAL, Contract, Rng, Sample, normal


def matmul(a: np.ndarray, b: np.ndarray, transpose_a: bool = False, transpose_b: bool = False) -> np.ndarray:
    left = a.swapaxes(-1, -2) if transpose_a else a
    right = b.swapaxes(-1, -2) if transpose_b else b
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, (*lead, *left.shape[-2:]))
    right = np.broadcast_to(right, (*lead, *right.shape[-2:]))
    out = np.empty((*lead, left.shape[-2], right.shape[-1]))
    for *at, i, j in np.ndindex(out.shape):
        products = zip(left[(*at, i)], right[(*at, slice(None), j)], strict=True)
        out[(*at, i, j)] = math.fsum(p * q for p, q in products)
    return out


def make(rng: Rng, a: tuple[int, ...], b: tuple[int, ...], *flips: bool) -> Sample:
    static = dict(zip(("transpose_a", "transpose_b"), flips, strict=False))
    return Sample((normal(rng, *a), normal(rng, *b)), static)


def random_product(rng: Rng) -> tuple[Any, ...]:
    m, k, n = (int(v) for v in rng.integers(1, 12, 3))
    flip_a, flip_b = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    lead = (2,) if rng.random() < 0.3 else ()
    return (*lead, *((k, m) if flip_a else (m, k))), ((n, k) if flip_b else (k, n)), flip_a, flip_b


CONTRACTS = [
    Contract(
        "matmul",
        matmul,
        make,
        [
            ((2, 3), (3, 4)),
            ((3, 2), (3, 4), True, False),
            ((2, 3), (4, 3), False, True),
            ((3, 2), (4, 3), True, True),
            ((1, 1), (1, 1)),
            ((5, 2, 3), (3, 4)),
            ((2, 1, 2, 3), (3, 3, 4)),
            ((2, 3), (5, 4, 3), False, True),
            ((0, 3), (3, 2)),
            ((2, 0), (0, 3)),
            ((512, 3), (512, 5), True, False),
            ((1100, 7), (1100, 33), True, False),
        ],
        random_product,
        [
            Sample((np.ones((2, 3)), np.ones((2, 3)))),
            Sample((np.ones(3), np.ones((3, 2)))),
            Sample((np.ones((2, 2, 3)), np.ones((3, 3, 2)))),
        ],
        roundings=lambda sample: sample.inputs[0].shape[-2 if sample.static.get("transpose_a") else -1] + 1,
        magnitude=lambda a, b, **flips: matmul(np.abs(a), np.abs(b), **flips),
        dtypes=REAL,
    ),
]
