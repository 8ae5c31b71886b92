"""Pooling, forward and backward; an operation is a tap of a window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import gpudl
from benchmarks.suites.harness import Case, op, suite

SHAPES = ((64, 26, 26, 32), (64, 11, 11, 64), (16, 56, 56, 64))


def pools() -> Iterator[Case]:
    """Yield both kinds of pooling over windows side by side, and overlapping ones."""
    for n, h, w, c in SHAPES:
        for size, strides in ((2, 2), (3, 2)):
            window = gpudl.layers.MaxPooling2D(size, strides).window
            x, y = (n, h, w, c), (n, *window.output((h, w)), c)
            flops = y[0] * y[1] * y[2] * c * window.taps
            taps = np.random.default_rng(0).integers(0, window.taps, y, dtype=np.uint8)
            yield op("max_pool", x, flops=flops, window=window)
            yield op("max_pool_grad", y, taps, flops=flops, shape=x, window=window)
            yield op("avg_pool", x, flops=flops, window=window)
            yield op("avg_pool_grad", y, flops=flops, shape=x, window=window)


test_pool = suite(pools())
