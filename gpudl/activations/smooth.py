"""Activations with exponentials, and the softmaxes."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt

from gpudl import ops
from gpudl.engine.calls import public
from gpudl.engine.convert import as_tensor
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor, TensorLike

__all__ = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "squareplus",
    "swish",
    "tanh",
]

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@public
def sigmoid(x: TensorLike) -> Tensor:
    """Return 1 / (1 + exp(-x)), with a reference to x, from which losses are computed more accurately.

    Example:
        >>> sigmoid([0.0, 1.0]).numpy().round(3)
        array([0.5  , 0.731], dtype=float32)
    """
    x = as_tensor(x)
    result: Tensor = ops.sigmoid(x)
    result.logits = x
    return result


@public
def tanh(x: TensorLike) -> Tensor:
    """Return the hyperbolic tangent of x.

    Example:
        >>> tanh([0.0, 1.0]).numpy().round(3)
        array([0.   , 0.762], dtype=float32)
    """
    return ops.tanh(x)


@public
def softmax(x: TensorLike, axis: int | Sequence[int] = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along `axis`, one or several: positive numbers that sum to 1.

    Along the last axis the result has a reference to x, from which losses are computed more accurately.

    Raises:
        ShapeError: x has no such axis, or nothing along it.

    Example:
        >>> softmax([[1.0, 1.0, 1.0, 1.0]]).numpy()
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    x = as_tensor(x)
    result = ops.softmax(x, axis)
    if isinstance(axis, Sequence):
        return result
    if x.shape[axis] == 1:
        warn_user(
            f"softmax over axis {axis} of shape {x.shape} always returns 1, because that axis has size 1. "
            "Use sigmoid for one output, or give the layer one unit per class.",
        )
    if axis in (-1, x.ndim - 1):
        result.logits = x
    return result


@public
def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """Return log(softmax(x)) along `axis`, accurate where the softmax is nearly 0.

    Raises:
        ShapeError: x has no such axis, or nothing along it.

    Example:
        >>> log_softmax([[0.0, 1000.0]]).numpy()
        array([[-1000.,     0.]], dtype=float32)
    """
    return ops.log_softmax(x, axis)


@public
def softplus(x: TensorLike) -> Tensor:
    """Return log(1 + exp(x)), without overflow.

    Example:
        >>> softplus([0.0, 100.0]).numpy().round(3)
        array([  0.693, 100.   ], dtype=float32)
    """
    # The cross-entropy against the target 0 is -log(1 - sigmoid(x)), which is this function.
    return ops.sigmoid_cross_entropy(x, 0.0)


@public
def log_sigmoid(x: TensorLike) -> Tensor:
    """Return log(sigmoid(x)), without overflow.

    Example:
        >>> log_sigmoid([0.0, -100.0]).numpy().round(3)
        array([  -0.693, -100.   ], dtype=float32)
    """
    return -softplus(-as_tensor(x))


@public
def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """Return (x + sqrt(x**2 + b)) / 2, much like softplus (Barron, 2021).

    Example:
        >>> squareplus([0.0, 1.5], b=4).numpy()
        array([1., 2.], dtype=float32)
    """
    x = as_tensor(x)
    return (x + ops.sqrt(ops.square(x) + float(b))) * 0.5


@public
def softsign(x: TensorLike) -> Tensor:
    """Return x / (1 + |x|).

    Example:
        >>> softsign([-1.0, 3.0]).numpy()
        array([-0.5 ,  0.75], dtype=float32)
    """
    x = as_tensor(x)
    return x / (abs(x) + 1.0)


@public
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha * (exp(x) - 1) elsewhere (Clevert et al., ICLR 2016).

    Example:
        >>> elu([-1.0, 2.0]).numpy().round(3)
        array([-0.632,  2.   ], dtype=float32)
    """
    x = as_tensor(x)
    # The minimum keeps the branch that is not taken from overflowing.
    return ops.where(x > 0.0, x, ops.expm1(ops.minimum(x, 0.0)) * alpha)


@public
def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha * (exp(x / alpha) - 1) elsewhere (Barron, 2017).

    Example:
        >>> celu([-1.0, 2.0], alpha=0.5).numpy().round(3)
        array([-0.432,  2.   ], dtype=float32)
    """
    x = as_tensor(x)
    return ops.where(x > 0.0, x, ops.expm1(ops.minimum(x, 0.0) / alpha) * alpha)


@public
def selu(x: TensorLike) -> Tensor:
    """Return the scaled elu that keeps mean 0 and variance 1 from layer to layer (Klambauer et al., 2017).

    Example:
        >>> selu([-1.0, 2.0]).numpy().round(3)
        array([-1.111,  2.101], dtype=float32)
    """
    return elu(x, _SELU_ALPHA) * _SELU_SCALE


@public
def silu(x: TensorLike) -> Tensor:
    """Return x * sigmoid(x), also called swish (Ramachandran et al., 2017).

    Example:
        >>> silu([-1.0, 2.0]).numpy().round(3)
        array([-0.269,  1.762], dtype=float32)
    """
    x = as_tensor(x)
    return x * ops.sigmoid(x)


@public
def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """Return x * P(X <= x) for a standard normal X (Hendrycks and Gimpel, 2016).

    Args:
        x: input of any shape.
        approximate: use the paper's formula with tanh instead of the error function.

    Example:
        >>> gelu([-1.0, 2.0]).numpy().round(3)
        array([-0.159,  1.954], dtype=float32)
    """
    x = as_tensor(x)
    inner = (x + x * x * x * 0.044715) * sqrt(2 / pi) if approximate else x * sqrt(0.5)
    return x * ((ops.tanh(inner) if approximate else ops.erf(inner)) + 1.0) * 0.5


@public
def exponential(x: TensorLike) -> Tensor:
    """Return e ** x.

    Example:
        >>> exponential([0.0, 1.0]).numpy().round(3)
        array([1.   , 2.718], dtype=float32)
    """
    return ops.exp(x)


@public
def mish(x: TensorLike) -> Tensor:
    """Return x * tanh(softplus(x)) (Misra, 2019).

    Example:
        >>> mish([-1.0, 2.0]).numpy().round(3)
        array([-0.303,  1.944], dtype=float32)
    """
    x = as_tensor(x)
    return x * ops.tanh(softplus(x))


swish = silu
