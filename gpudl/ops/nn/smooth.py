"""Activations with exponentials and square roots, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from math import pi, sqrt

from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.primitives.activation import sigmoid, tanh
from gpudl.ops.primitives.elementwise import minimum, square, where
from gpudl.ops.primitives.exponential import expm1
from gpudl.ops.primitives.exponential import sqrt as square_root
from gpudl.ops.primitives.gelu import gelu as exact_gelu
from gpudl.ops.primitives.loss import sigmoid_cross_entropy

__all__ = [
    "celu",
    "elu",
    "gelu",
    "log_sigmoid",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "squareplus",
    "swish",
]

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def softplus(x: TensorLike) -> Tensor:
    """Return log(1 + exp(x)), without overflow.

    Example:
        >>> softplus([0.0, 100.0]).numpy().round(3)
        array([  0.693, 100.   ], dtype=float32)
    """
    # The cross-entropy against the target 0 is -log(1 - sigmoid(x)), which is this function.
    return sigmoid_cross_entropy(x, 0.0)


def log_sigmoid(x: TensorLike) -> Tensor:
    """Return log(sigmoid(x)), without overflow.

    Example:
        >>> log_sigmoid([0.0, -100.0]).numpy().round(3)
        array([  -0.693, -100.   ], dtype=float32)
    """
    return -softplus(-as_tensor(x))


def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """Return (x + sqrt(x**2 + b)) / 2, much like softplus (Barron, 2021).

    Example:
        >>> squareplus([0.0, 1.5], b=4).numpy()
        array([1., 2.], dtype=float32)
    """
    x = as_tensor(x)
    return (x + square_root(square(x) + float(b))) * 0.5


def softsign(x: TensorLike) -> Tensor:
    """Return x / (1 + |x|).

    Example:
        >>> softsign([-1.0, 3.0]).numpy()
        array([-0.5 ,  0.75], dtype=float32)
    """
    x = as_tensor(x)
    return x / (abs(x) + 1.0)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha * (exp(x) - 1) elsewhere (Clevert et al., ICLR 2016).

    Example:
        >>> elu([-1.0, 2.0]).numpy().round(3)
        array([-0.632,  2.   ], dtype=float32)
    """
    x = as_tensor(x)
    # The minimum keeps the branch that is not taken from overflowing.
    return where(x > 0.0, x, expm1(minimum(x, 0.0)) * alpha)


def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha * (exp(x / alpha) - 1) elsewhere (Barron, 2017).

    Example:
        >>> celu([-1.0, 2.0], alpha=0.5).numpy().round(3)
        array([-0.432,  2.   ], dtype=float32)
    """
    x = as_tensor(x)
    return where(x > 0.0, x, expm1(minimum(x, 0.0) / alpha) * alpha)


def selu(x: TensorLike) -> Tensor:
    """Return the scaled elu that keeps mean 0 and variance 1 from layer to layer (Klambauer et al., 2017).

    Example:
        >>> selu([-1.0, 2.0]).numpy().round(3)
        array([-1.111,  2.101], dtype=float32)
    """
    return elu(x, _SELU_ALPHA) * _SELU_SCALE


def silu(x: TensorLike) -> Tensor:
    """Return x * sigmoid(x), also called swish (Ramachandran et al., 2017).

    Example:
        >>> silu([-1.0, 2.0]).numpy().round(3)
        array([-0.269,  1.762], dtype=float32)
    """
    x = as_tensor(x)
    return x * sigmoid(x)


def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """Return x * P(X <= x) for a standard normal X (Hendrycks and Gimpel, 2016).

    Args:
        x: input of any shape.
        approximate: use the paper's formula with tanh instead of the error function.

    Example:
        >>> gelu([-1.0, 2.0]).numpy().round(3)
        array([-0.159,  1.955], dtype=float32)
    """
    x = as_tensor(x)
    if not approximate:
        return exact_gelu(x)
    return x * (tanh((x + x * x * x * 0.044715) * sqrt(2 / pi)) + 1.0) * 0.5


swish = silu
