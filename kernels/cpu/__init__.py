"""Kernels for the CPU, compiled by Numba; importing this package enters all of them in the registry.

They take arrays in the layout NHWC, C-contiguous, and allocate none. Compiled code is kept between
processes in Numba's cache.
"""

from .threads import settle

settle()  # before anything here can start Numba's threads

from . import (  # noqa: E402
    activation,
    conv,
    convolution,
    elementwise,
    fused,
    gather,
    loss,
    matmul,
    norm,
    pool,
    random,
    reduce,
    sums,
    update,
)

__all__ = [
    "activation",
    "conv",
    "convolution",
    "elementwise",
    "fused",
    "gather",
    "loss",
    "matmul",
    "norm",
    "pool",
    "random",
    "reduce",
    "sums",
    "update",
]
