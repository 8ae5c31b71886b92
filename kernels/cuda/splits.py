"""Adding up the partial sums of a product that is split among blocks (split-K), by the kernel of `splits.cu`."""

from __future__ import annotations

from math import ceil

import numpy as np

from .launch import Array, Kernel, function, index, real, run

_NEAR = 32  # results of a block
_THREADS = 256
_MOST_BLOCKS = 2**16


def sum_kernel(out: Array, finish: str) -> Kernel | None:
    """Return the kernel that adds up partial sums and applies the epilogue; None if it does not compile."""
    types = {"GPUDL_REAL": real(out) or "", "GPUDL_INDEX": index(out)[0]}
    return function("splits.cu", "sum_splits", **types, GPUDL_FINISH=finish)


def start_sum(kernel: Kernel, out: Array, partial: Array, bias: Array, columns: int, splits: int) -> None:
    """Launch the kernel: partial (splits, M, N) -> out (M, N), with a bias (N,)."""
    blocks, number = min(ceil(out.size / _NEAR), _MOST_BLOCKS), index(out)[1]
    run(kernel, blocks, _THREADS, (out, partial, bias, number(out.size), number(columns), np.int32(splits)))
