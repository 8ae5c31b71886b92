"""Kernels for NVIDIA GPUs, written in CUDA C++; importing this package registers all of them.

They work on C-contiguous CuPy arrays in the layout NHWC and allocate nothing but scratch memory. A kernel of a `.cu`
file is compiled at its first use, once per dtype, index type and device.
"""

from . import (
    attention,
    attention_grad,
    blas,
    conv,
    conv2d,
    conv2d_input_grad,
    conv2d_weight_grad,
    depthwise,
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
    rnn,
    rnn_grad,
    scatter,
    update,
)

__all__ = [
    "attention",
    "attention_grad",
    "blas",
    "conv",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "depthwise",
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
    "rnn",
    "rnn_grad",
    "scatter",
    "update",
]
