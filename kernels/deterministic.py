"""Kernels whose results are bitwise independent of the number of threads, for the ops that BLAS computes otherwise.

When determinism is required, they are used where no faster kernel supports the arrays. A product is summed in the order
of the inner axis, which takes several times as long as BLAS does.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .cpu.machine.prebound import ParallelLoop, each_time, share
from .registry import accelerates

_DEVICE = "deterministic"  # a table of its own, so that these kernels are chosen in no other case


@ParallelLoop
def _matmul(worker, workers, out, a, b):  # type: ignore[no-untyped-def]
    # a (B, M, K), b (B, K, N) -> out (B, M, N)
    rows, columns, depth = out.shape[1], out.shape[2], a.shape[2]
    for unit in share(out.shape[0] * rows, worker, workers):
        batch, row = unit // rows, unit % rows
        for j in range(columns):
            out[batch, row, j] = 0
        for k in range(depth):
            factor = a[batch, row, k]
            for j in range(columns):
                out[batch, row, j] += factor * b[batch, k, j]


def _floats(out: np.ndarray, *inputs: np.ndarray, **static: object) -> bool:
    return out.dtype.char in "fd" and bool(out.flags.c_contiguous)


@accelerates("matmul", device=_DEVICE, supports=_floats)
def matmul(
    out: np.ndarray, a: np.ndarray, b: np.ndarray, *, transpose_a: bool = False, transpose_b: bool = False
) -> None:
    """Multiply a (..., M, K) by b (..., K, N) into out (..., M, N); a transposed operand has shape (K, M) or (N, K)."""
    each_time()
    left = _stacked(a.swapaxes(-1, -2) if transpose_a else a, out)
    right = _stacked(b.swapaxes(-1, -2) if transpose_b else b, out)
    _matmul(out.size * left.shape[-1], out.reshape(len(left), *out.shape[-2:]), left, right)


def _stacked(side: np.ndarray, out: np.ndarray) -> np.ndarray:
    batches = out.shape[:-2]
    whole = np.broadcast_to(side, (*batches, *side.shape[-2:]))
    return np.ascontiguousarray(whole, out.dtype).reshape(prod(batches), *side.shape[-2:])
