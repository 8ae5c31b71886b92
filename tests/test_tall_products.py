"""Products of many rows, A transposed times B: the blocks of their results, and the parts of their sums."""

from __future__ import annotations

import numpy as np
import pytest
from gpudl.kernels.cpu import matmul_tall
from thread_tools import COUNTS, workers

EPSILON = np.finfo(np.float32).eps
# Rows; columns of A and of B: results of one block, and of several with rests.
SHAPES = [(512, 1, 1), (700, 17, 65), (1100, 264, 256), (1100, 265, 256), (1090, 270, 257), (2200, 540, 300)]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.full((a.shape[1], b.shape[1]), np.nan, np.float32)
    matmul_tall.matmul_tall(out, a, b, transpose_a=True)
    return out


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results_of_one_block_and_of_several(shape: tuple[int, int, int]) -> None:
    rows, m, n = shape
    a, b = noise(rows, m), noise(rows, n, seed=1)
    exact, size = (x.astype(np.float64).T @ y for x, y in ((a, b), (abs(a), abs(b))))
    results = set()
    for count in COUNTS:
        with workers(count):
            got = product(a, b)
        assert (abs(got - exact) <= (rows + 2) * EPSILON * size).all()
        results.add(got.tobytes())
    assert len(results) == 1
