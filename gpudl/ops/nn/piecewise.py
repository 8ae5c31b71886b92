"""Piecewise linear activations, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.elementwise import clip
from gpudl.ops.primitives.activation import relu
from gpudl.ops.primitives.elementwise import where

__all__ = [
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "relu6",
]


def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """Return x where it is positive, negative_slope * x elsewhere.

    Example:
        >>> leaky_relu([-1.0, 2.0]).numpy()
        array([-0.2,  2. ], dtype=float32)
    """
    x = as_tensor(x)
    return where(x >= 0.0, x, x * negative_slope)


def hard_tanh(x: TensorLike) -> Tensor:
    """Return x limited to [-1, 1].

    Example:
        >>> hard_tanh([-2.0, 0.5, 2.0]).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return clip(x, -1, 1)


def relu6(x: TensorLike) -> Tensor:
    """Return x limited to [0, 6].

    Example:
        >>> relu6([-1.0, 2.0, 9.0]).numpy()
        array([0., 2., 6.], dtype=float32)
    """
    return clip(relu(x), 0.0, 6.0)


def hard_sigmoid(x: TensorLike) -> Tensor:
    """Return x / 6 + 0.5 limited to [0, 1].

    Example:
        >>> hard_sigmoid([-4.0, 0.0, 1.5]).numpy()
        array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return relu6(as_tensor(x) + 3.0) / 6.0


def hard_silu(x: TensorLike) -> Tensor:
    """Return x * hard_sigmoid(x), also called hard_swish (Howard et al., 2019).

    Example:
        >>> hard_silu([0.0, 1.5, 4.0]).numpy()
        array([0.   , 1.125, 4.   ], dtype=float32)
    """
    x = as_tensor(x)
    return x * hard_sigmoid(x)


hard_swish = hard_silu
