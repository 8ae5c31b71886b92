"""Activations that are 0 around 0 or below some point, and those that close a gate, with Keras's arguments."""

from __future__ import annotations

from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.elementwise import clip
from gpudl.ops.primitives.activation import sigmoid, tanh
from gpudl.ops.primitives.elementwise import absolute, square, where

__all__ = [
    "glu",
    "hard_shrink",
    "soft_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "tanh_shrink",
    "threshold",
]


def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """Return x where |x| is above the threshold, 0 elsewhere.

    Example:
        >>> hard_shrink([-1.0, 0.25, 2.0]).numpy()
        array([-1.,  0.,  2.], dtype=float32)
    """
    x = as_tensor(x)
    return where(absolute(x) > threshold, x, 0.0)


def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """Return x, nearer to 0 by the threshold, and 0 where it is nearer than that.

    Example:
        >>> soft_shrink([-1.0, 0.25, 2.0]).numpy()
        array([-0.5,  0. ,  1.5], dtype=float32)
    """
    x = as_tensor(x)
    return where(x > threshold, x - threshold, where(x < -threshold, x + threshold, 0.0))


def tanh_shrink(x: TensorLike) -> Tensor:
    """Return x - tanh(x).

    Example:
        >>> tanh_shrink([0.0, 1.0]).numpy().round(3)
        array([0.   , 0.238], dtype=float32)
    """
    x = as_tensor(x)
    return x - tanh(x)


def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """Return x where it is above the threshold, `default_value` elsewhere.

    Example:
        >>> threshold([-1.0, 2.0], 0.5, 9.0).numpy()
        array([9., 2.], dtype=float32)
    """
    x = as_tensor(x)
    return where(x > threshold, x, float(default_value))


def sparse_plus(x: TensorLike) -> Tensor:
    """Return 0 up to -1, x from 1 on, and the parabola (x + 1)**2 / 4 between.

    Example:
        >>> sparse_plus([-2.0, 0.0, 3.0]).numpy()
        array([0.  , 0.25, 3.  ], dtype=float32)
    """
    x = as_tensor(x)
    return where(x <= -1.0, 0.0, where(x < 1.0, square(x + 1.0) * 0.25, x))


def sparse_sigmoid(x: TensorLike) -> Tensor:
    """Return (x + 1) / 2 limited to [0, 1].

    Example:
        >>> sparse_sigmoid([-2.0, 0.0, 3.0]).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    x = as_tensor(x)
    return clip(x + 1.0, 0.0, 2.0) * 0.5


def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """Return the first half of x along `axis` times the sigmoid of the second.

    Source: Dauphin et al., "Language modeling with gated convolutional networks", ICML 2017.

    Raises:
        ShapeError: x has no such axis, or an odd number along it.

    Example:
        >>> glu([[2.0, 3.0, 0.0, 0.0]]).numpy()
        array([[1. , 1.5]], dtype=float32)
    """
    x = as_tensor(x)
    if not -x.ndim <= axis < x.ndim or x.shape[axis] % 2:
        raise ShapeError(f"glu needs two halves along axis {axis}, got shape {x.shape}.")
    half, before = x.shape[axis] // 2, (slice(None),) * (axis % x.ndim)
    return x[(*before, slice(0, half))] * sigmoid(x[(*before, slice(half, None))])
