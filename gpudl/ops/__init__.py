"""The ops: everything that gpudl computes, one family a file, each with its gradient beside it.

What Keras has too takes its arguments: functions in `numpy` and `nn`, and ops that take nothing but tensors.
"""

from types import FunctionType

import gpudl.ops.fused  # noqa: F401 (registers its rules)
from gpudl.engine.calls import public
from gpudl.engine.op import Op, registry
from gpudl.engine.tensor import faces
from gpudl.ops.activation import activation_grad, bias_activation, relu, sigmoid, tanh
from gpudl.ops.arrangement import broadcast_to, concatenate, expand_dims, squeeze, stack, transpose
from gpudl.ops.conv import col2im, conv2d, conv2d_input_grad, conv2d_weight_grad, im2col
from gpudl.ops.elementwise import (
    absolute,
    add,
    cast_like,
    divide,
    erf,
    exp,
    expm1,
    floor_divide,
    log,
    log1p,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    power,
    sign,
    sqrt,
    square,
    subtract,
)
from gpudl.ops.gather import take_batch
from gpudl.ops.indexing import getitem, nonzero
from gpudl.ops.logic import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    left_shift,
    less,
    less_equal,
    not_equal,
    right_shift,
)
from gpudl.ops.loss import sigmoid_cross_entropy, softmax_cross_entropy, sparse_softmax_cross_entropy
from gpudl.ops.nn import average_pool, log_softmax, max_pool, one_hot, softmax
from gpudl.ops.norm import batch_norm, layer_norm, scale_shift
from gpudl.ops.numpy import (
    all,
    any,
    argmax,
    cast,
    clip,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    max,
    mean,
    min,
    ones_like,
    sum,
    take,
    true_divide,
    where,
    zeros_like,
)
from gpudl.ops.pool import avg_pool, max_pool_grad, max_pool_pick
from gpudl.ops.random import advance_, draw_key, dropout, random_normal, random_uniform
from gpudl.ops.reduce import all_finite, sum_to
from gpudl.ops.shape import copy, pack, reshape
from gpudl.ops.update import (
    adam_,
    assign_,
    assign_add_,
    decay_,
    increment_,
    note_nonfinite_,
    rescale_,
    restore_,
    rmsprop_,
    sgd_,
    sgd_momentum_,
)

__all__ = [
    "Op",
    "absolute",
    "activation_grad",
    "adam_",
    "add",
    "advance_",
    "all",
    "all_finite",
    "any",
    "argmax",
    "assign_",
    "assign_add_",
    "average_pool",
    "avg_pool",
    "batch_norm",
    "bias_activation",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "broadcast_to",
    "cast",
    "cast_like",
    "clip",
    "col2im",
    "concatenate",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "copy",
    "decay_",
    "divide",
    "draw_key",
    "dropout",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "floor_divide",
    "getitem",
    "greater",
    "greater_equal",
    "im2col",
    "increment_",
    "layer_norm",
    "left_shift",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "matmul",
    "max",
    "max_pool",
    "max_pool_grad",
    "max_pool_pick",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "nonzero",
    "not_equal",
    "note_nonfinite_",
    "one_hot",
    "ones_like",
    "pack",
    "power",
    "random_normal",
    "random_uniform",
    "registry",
    "relu",
    "rescale_",
    "reshape",
    "restore_",
    "right_shift",
    "rmsprop_",
    "scale_shift",
    "sgd_",
    "sgd_momentum_",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sign",
    "softmax",
    "softmax_cross_entropy",
    "sparse_softmax_cross_entropy",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "sum_to",
    "take",
    "take_batch",
    "tanh",
    "transpose",
    "true_divide",
    "where",
    "zeros_like",
]

# What is called on symbols is remembered as users call it, and not as it calls ops inside.
for _name in __all__:
    if isinstance(globals()[_name], FunctionType):
        globals()[_name] = public(globals()[_name])
        globals()[_name].__module__ = __name__  # where pickles find it
faces.update(__matmul__=matmul, __getitem__=getitem, true_divide=true_divide)
