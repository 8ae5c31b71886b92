"""The ops: everything that gpudl computes, one family a file, each with its gradient beside it."""

from gpudl.engine.op import Op, registry
from gpudl.ops.conv import col2im, conv2d, conv2d_input_grad, conv2d_weight_grad, im2col
from gpudl.ops.elementwise import (
    absolute,
    activation_grad,
    add,
    bias_activation,
    cast,
    cast_like,
    clip,
    divide,
    equal,
    exp,
    expm1,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    ones_like,
    power,
    relu,
    sigmoid,
    sign,
    sqrt,
    square,
    subtract,
    tanh,
    where,
    zeros_like,
)
from gpudl.ops.linalg import matmul
from gpudl.ops.loss import (
    log_softmax,
    matches,
    one_hot,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    sparse_softmax_cross_entropy,
)
from gpudl.ops.pool import avg_pool, max_pool, max_pool_grad, max_pool_pick
from gpudl.ops.random import advance_, draw_key, dropout, random_normal, random_uniform
from gpudl.ops.reduce import argmax, broadcast_to, max, mean, sum, sum_to  # noqa: A004 (NumPy's names)
from gpudl.ops.shape import concatenate, getitem, pack, reshape, take, transpose
from gpudl.ops.update import (
    adam_,
    assign_,
    assign_add_,
    decay_,
    increment_,
    rmsprop_,
    sgd_,
    sgd_momentum_,
)

__all__ = [name for name in dir() if not name.startswith("_")]
