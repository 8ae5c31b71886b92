"""Kernels for NVIDIA GPUs, written in CUDA C++; importing this package enters all of them in the registry.

They take CuPy arrays in the layout NHWC, C-contiguous, and make no other array than scratch memory. A `.cu` file is
compiled when a kernel of it is first asked for, once per dtype, index type and device.
"""

from . import (
    blas,
    elementwise,
    gather,
    gemm,
    loss,
    norm,
    random,
    reduce,
    scatter,
    update,
    windows,
)

__all__ = [
    "blas",
    "elementwise",
    "gather",
    "gemm",
    "loss",
    "norm",
    "random",
    "reduce",
    "scatter",
    "update",
    "windows",
]
