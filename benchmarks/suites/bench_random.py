"""Random numbers, dropout and its gradient, which draws the same mask again."""

from __future__ import annotations

import numpy as np

from benchmarks.suites.harness import op, suite

SHAPES = ((128, 512), (64, 26, 26, 32), (16, 56, 56, 64))
KEY = np.array([7, 0, 1, 0], np.uint32)

test_random = suite(
    case
    for shape in SHAPES
    for case in (
        op("random_uniform", KEY, shape=shape),
        op("random_normal", KEY, shape=shape),
        op("dropout", shape, KEY, rate=0.5),
    )
)
