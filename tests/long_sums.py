"""Cases of every op that adds up, long enough to show a sum that drifts or stands still; see `test_long_sums`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gpudl.kernels.geometry import Window

LONG = 1 << 21
SIDE = 1 << 8


def tenths(*shape: int) -> np.ndarray:
    """Return an array of 0.1, which no sum of float32 holds exactly."""
    return np.full(shape, 0.1, np.float32)


def spread(*shape: int) -> np.ndarray:
    """Return 0.1 and 0.3 in turns, down the rows."""
    x = tenths(*shape)
    x.reshape(-1, shape[-1])[::2] = 0.3
    return x


@dataclass
class Case:
    """Inputs of an op, and which of its outs are sums, or come of a sum with no more than a few roundings."""

    op: str
    inputs: tuple[np.ndarray, ...]
    static: dict[str, Any] = field(default_factory=dict)
    outs: tuple[int, ...] = (0,)

    @property
    def id(self) -> str:
        shapes = "-".join("x".join(map(str, a.shape)) for a in self.inputs[:1])
        return f"{self.op}-{shapes}-{self.static.get('axis', '')}"


ONES = np.ones(3, np.float32)
WHOLE = Window((SIDE, SIDE), (SIDE, SIDE))
MOMENTS = np.full(3, 0.2, np.float32), np.full(3, 0.01, np.float32)

CASES = [
    *(Case("sum", (tenths(LONG, 2),), {"axis": axis}) for axis in (None, 0)),
    *(Case("sum", (tenths(2, LONG),), {"axis": axis}) for axis in (None, 1)),
    Case("sum", (tenths(3, LONG // 4, 5),), {"axis": 1}),
    Case("sum", (tenths(LONG, 1, 2),), {"axis": (0, 1), "keepdims": True}),
    Case("sum", (tenths(LONG // 2, 3, 2),), {"axis": (0, 2)}),
    Case("sum_to", (tenths(LONG, 3),), {"shape": (3,)}),
    Case("sum_to", (tenths(2, 4 * SIDE, 4 * SIDE, 3),), {"shape": (3,)}),
    Case("sum_to", (tenths(LONG, 2),), {"shape": (1, 1)}),
    Case("sum_to", (tenths(LONG // 2, 3, 2),), {"shape": (3, 1)}),
    Case("max_grad", (ONES[:2], np.full(2, 0.1, np.float32), tenths(LONG, 2)), {"axis": 0}),
    Case("avg_pool", (tenths(1, SIDE, SIDE, 3),), {"window": WHOLE}),
    Case("avg_pool", (tenths(1, 250, 250, 1),), {"window": Window((200, 200), (50, 50), "same")}),
    Case("avg_pool_grad", (tenths(1, 101, 101, 1),), {"shape": (1, 200, 200, 1), "window": Window((100, 100), (1, 1))}),
    Case("batch_norm", (spread(LONG, 3), ONES, ONES), {"epsilon": 0.001}, (1, 2)),
    Case("batch_norm", (spread(LONG, 1), ONES[:1], ONES[:1]), {"epsilon": 0.001}, (1, 2)),
    Case("batch_norm_grad", (tenths(LONG, 3), tenths(LONG, 3), ONES, *MOMENTS), {"epsilon": 0.001}, (1, 2)),
    Case("layer_norm", (spread(LONG, 1).reshape(1, -1), *np.ones((2, LONG), np.float32)), {"epsilon": 0.001}, (1, 2)),
    Case(
        "layer_norm_grad",
        (tenths(LONG, 3), tenths(LONG, 3), ONES, np.full(LONG, 0.2, np.float32), np.full(LONG, 0.01, np.float32)),
        {"epsilon": 0.001},
        (1, 2),
    ),
    Case("softmax", (spread(LONG, 1).reshape(1, -1),)),
    Case("log_softmax", (spread(LONG, 1).reshape(1, -1),)),
    Case("softmax_cross_entropy", (spread(LONG, 1).reshape(1, -1), tenths(1, LONG)), {}, (0, 1)),
    Case("softmax_cross_entropy_grad", (np.ones(1, np.float32), tenths(1, LONG), tenths(1, LONG))),
    Case("sparse_softmax_cross_entropy", (spread(LONG, 1).reshape(1, -1), np.array([3])), {}, (0, 1)),
    Case("take_grad", (tenths(LONG // 16, 2), np.zeros(LONG // 16, np.int64)), {"rows": 3}),
]
