"""Fused kernels: each computes a chain of ops, so that intermediate results are not written to memory.

A name such as ``conv2d+bias_activation`` stands for a chain: the first result of each op is the first input of the
next. The arguments of the kernel are the results of the last op, the inputs of the first, the further inputs of the
others, and, as `stages`, the static arguments of each. The last chain of this file branches into two last ops.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from ..geometry import Window
from ..registry import Stages, accelerates, floats
from .conv import supports_pool, supports_transposed, supports_value, supports_weights, transposed, value
from .conv_choice import WEIGHT, chosen
from .conv_implicit_weights import undivided, weight_grad
from .machine.scratch import NO_BYTES
from .matmul import multiplied, supports_matrices
from .pool import scatter_maxima, side_by_side

_IN_TILES = ("linear", "relu")


def _with_bias(y: ndarray, x: ndarray, w: ndarray, b: ndarray, *, stages: Stages) -> bool:
    return supports_value(y, x, w, **stages[0]) and floats(y, b) and stages[1]["activation"] in _IN_TILES


def _convolved(
    y: ndarray, argmax: ndarray, x: ndarray, w: ndarray, b: ndarray, stages: Stages, pool: Window | None
) -> None:
    first = stages[0]
    value(y, argmax, x, w, b, first["window"], first.get("algorithm", "auto"), stages[1]["activation"], pool)


@accelerates("conv2d+bias_activation", device="cpu", supports=_with_bias)
def conv2d_bias_activation(y: ndarray, x: ndarray, w: ndarray, b: ndarray, *, stages: Stages) -> None:
    """Compute activation(conv2d(x, w) + b)."""
    _convolved(y, NO_BYTES, x, w, b, stages, None)


def _biased_gradient(dx: ndarray, g: ndarray, w: ndarray, b: ndarray, *, stages: Stages) -> bool:
    return supports_transposed(dx, g, w, **stages[0]) and floats(dx, b) and stages[1]["activation"] in _IN_TILES


@accelerates("conv2d_input_grad+bias_activation", device="cpu", supports=_biased_gradient)
def conv2d_input_grad_bias_activation(dx: ndarray, g: ndarray, w: ndarray, b: ndarray, *, stages: Stages) -> None:
    """Compute activation(conv2d_input_grad(g, w) + b): a transposed convolution with its bias."""
    first = stages[0]
    transposed(dx, g, w, b, first["window"], first.get("algorithm", "auto"), stages[1]["activation"])


def _with_maxima(y: ndarray, argmax: ndarray, x: ndarray, w: ndarray, b: ndarray, *, stages: Stages) -> bool:
    window, pool = stages[0]["window"], stages[2]["window"]
    return (
        _with_bias(y, x, w, b, stages=stages)
        and argmax.dtype == np.uint8
        and side_by_side(y, argmax, window=pool, size=window.output(x.shape[1:3]))
        and supports_pool(x, w, pool, **stages[0])
    )


@accelerates("conv2d+bias_activation+max_pool", device="cpu", supports=_with_maxima)
def conv2d_bias_activation_max_pool(
    y: ndarray, argmax: ndarray, x: ndarray, w: ndarray, b: ndarray, *, stages: Stages
) -> None:
    """Compute the maxima of activation(conv2d(x, w) + b) and their taps."""
    _convolved(y, argmax, x, w, b, stages, stages[2]["window"])


def _plain(out: ndarray, a: ndarray, b: ndarray, bias: ndarray, *, stages: Stages) -> bool:
    return supports_matrices(out, a, b, **stages[0]) and floats(out, bias) and stages[1]["activation"] in _IN_TILES


@accelerates("matmul+bias_activation", device="cpu", supports=_plain)
def matmul_bias_activation(out: ndarray, a: ndarray, b: ndarray, bias: ndarray, *, stages: Stages) -> None:
    """Compute activation(a @ b + bias)."""
    multiplied(out, a, b, bias, stages[1]["activation"], **stages[0])


def _before_relu(dx: ndarray, g: ndarray, y: ndarray, argmax: ndarray, *, stages: Stages) -> bool:
    size = tuple(dx.shape[1:3])
    return (
        stages[0]["activation"] == "relu"
        and argmax.dtype == np.uint8
        and side_by_side(dx, g, y, argmax, window=stages[1]["window"], size=size)
    )


@accelerates("activation_grad+max_pool_grad", device="cpu", supports=_before_relu)
def activation_grad_max_pool_grad(dx: ndarray, g: ndarray, y: ndarray, argmax: ndarray, *, stages: Stages) -> None:
    """Compute the gradient with respect to the input of a ReLU and max-pooling from that of the maxima `y`."""
    scatter_maxima(dx, g, argmax, y, stages[1]["window"])


def _few_weights(
    db: ndarray, dw: ndarray, g: ndarray, y: ndarray, argmax: ndarray, x: ndarray, *, stages: Stages
) -> bool:
    # With more rows of dw than one unit of work computes, every unit would have to scatter the gradient again.
    window, depth = stages[3]["window"], dw.size // max(dw.shape[-1], 1)
    n, size = x.shape[0], window.output(x.shape[1:3])
    return (
        stages[0]["activation"] == "relu"
        and floats(db, dw, x)
        and db.shape == dw.shape[-1:]
        and supports_weights(dw, x, g, **stages[3])
        and chosen(WEIGHT, window, tuple(x.shape), g.shape[3], stages[3].get("algorithm", "auto")) == "implicit"
        and undivided(window, x.shape, depth, dw.shape[-1])
        and argmax.dtype == np.uint8
        and stages[1]["shape"] == (n, *size, g.shape[3])
        and side_by_side(g, y, argmax, window=stages[1]["window"], size=size)
    )


@accelerates("activation_grad+max_pool_grad+(sum_to,conv2d_weight_grad)", device="cpu", supports=_few_weights)
def weight_grads(
    db: ndarray, dw: ndarray, g: ndarray, y: ndarray, argmax: ndarray, x: ndarray, *, stages: Stages
) -> None:
    """Compute the gradients of the bias and filters of a convolution from that of its pooled maxima after ReLU, `y`."""
    weight_grad(dw, db, x, g, argmax, y, stages[3]["window"], stages[1]["window"])
