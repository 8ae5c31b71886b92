"""Kernels for the CPU, compiled by Numba; importing this package registers all of them.

They work on C-contiguous arrays in the layout NHWC and allocate none. Compiled code is kept between
processes in Numba's cache.
"""

from numba import config

if config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("Numba compiles nothing where NUMBA_DISABLE_JIT is set; remove that variable for full speed.")

from . import (
    activation,
    attention,
    attention_grad,
    conv,
    conv_im2col,
    depthwise,
    elementwise,
    fused,
    gather,
    layer_norm,
    loss,
    matmul,
    matmul_tall,
    norm,
    norm_grad,
    pool,
    random,
    reduce,
    rnn,
    rnn_grad,
    special,
    update,
)

__all__ = [
    "activation",
    "attention",
    "attention_grad",
    "conv",
    "conv_im2col",
    "depthwise",
    "elementwise",
    "fused",
    "gather",
    "layer_norm",
    "loss",
    "matmul",
    "matmul_tall",
    "norm",
    "norm_grad",
    "pool",
    "random",
    "reduce",
    "rnn",
    "rnn_grad",
    "special",
    "update",
]
