"""Measuring on a GPU by the host's clock, between two moments at which the whole device is idle.

gpudl's graphs, PyTorch's and plain kernels run on streams of their own: waiting for the device is right for each of
them. A turn is so long that the two waits do not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

Call = Callable[[], Any]


def wait(device: str, side: str = "gpudl") -> Call:
    """Return a call that waits until the device of a side has done all it was given."""
    if device == "cpu":
        return lambda: None
    if side == "gpudl":
        import cupy

        return cupy.cuda.runtime.deviceSynchronize  # type: ignore[no-any-return]
    import torch

    return torch.cuda.synchronize


def seconds(call: Call, synchronize: Call, turn: float = 0.02, turns: int = 5) -> float:
    """Return the median time of a call over `turns` turns of at least `turn` seconds each, after three unmeasured."""
    for _ in range(3):
        call()
    synchronize()
    begin = time.perf_counter()
    call()
    synchronize()
    count = max(1, round(turn / max(time.perf_counter() - begin, 1e-6)))
    taken = []
    for _ in range(turns):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        synchronize()
        taken.append((time.perf_counter() - begin) / count)
    return statistics.median(taken)
