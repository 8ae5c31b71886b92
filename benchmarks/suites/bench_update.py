"""The optimizers' updates of a flat buffer: as many parameters as the tutorials' networks have, and more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.suites.harness import Case, op, suite

SIZES = (4, 93_322, 407_050, 10_000_000)


def updates() -> Iterator[Case]:
    """Yield each optimizer's op; the rate is so small that the numbers stay what they are."""
    rate, step = np.float32(1e-9), np.int64(3)
    momentum: Any = {"momentum": 0.9, "nesterov": False}
    adam: Any = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    for size in SIZES:
        w = (size,)
        yield op("sgd_", w, w, _scalar(rate), flops=2 * size)
        yield op("sgd_momentum_", w, w, w, _scalar(rate), flops=4 * size, **momentum)
        yield op("rmsprop_", w, w, w, _scalar(rate), flops=8 * size, rho=0.9, epsilon=1e-7)
        yield op("adam_", w, w, w, w, _scalar(rate), _scalar(step), flops=11 * size, **adam)


def _scalar(value: Any) -> np.ndarray:
    return np.array(value)


test_update = suite(updates())
