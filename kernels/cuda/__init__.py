"""Kernels for NVIDIA GPUs, written in CUDA C++; importing this package enters all of them in the registry.

They take CuPy arrays in the layout NHWC, C-contiguous, and make no other array than scratch memory. A `.cu` file is
compiled when a kernel of it is first asked for, once per dtype, index type and device.
"""

from . import (
    blas,
    conv,
    conv2d,
    conv2d_input_grad,
    conv2d_weight_grad,
    elementwise,
    gather,
    layer_norm,
    loss,
    matmul,
    norm,
    norm_grad,
    pool,
    random,
    reduce,
    scatter,
    update,
)

__all__ = [
    "blas",
    "conv",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "elementwise",
    "gather",
    "layer_norm",
    "loss",
    "matmul",
    "norm",
    "norm_grad",
    "pool",
    "random",
    "reduce",
    "scatter",
    "update",
]
