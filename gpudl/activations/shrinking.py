"""Activations that are 0 around 0 or below some point, and those that close a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpudl import ops
from gpudl.engine.calls import public
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "glu",
    "hard_shrink",
    "hard_tanh",
    "soft_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "tanh_shrink",
    "threshold",
]


@public
def hard_tanh(x: ArrayLike) -> Tensor:
    """Return x limited to [-1, 1].

    Example:
        >>> hard_tanh([-2.0, 0.5, 2.0]).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return ops.clip(x, -1.0, 1.0)


@public
def hard_shrink(x: ArrayLike, threshold: float = 0.5) -> Tensor:
    """Return x where |x| is above the threshold, 0 elsewhere.

    Example:
        >>> hard_shrink([-1.0, 0.25, 2.0]).numpy()
        array([-1.,  0.,  2.], dtype=float32)
    """
    x = as_tensor(x)
    return ops.where(ops.absolute(x) > threshold, x, 0.0)


@public
def soft_shrink(x: ArrayLike, threshold: float = 0.5) -> Tensor:
    """Return x, nearer to 0 by the threshold, and 0 where it is nearer than that.

    Example:
        >>> soft_shrink([-1.0, 0.25, 2.0]).numpy()
        array([-0.5,  0. ,  1.5], dtype=float32)
    """
    x = as_tensor(x)
    return ops.where(x > threshold, x - threshold, ops.where(x < -threshold, x + threshold, 0.0))


@public
def tanh_shrink(x: ArrayLike) -> Tensor:
    """Return x - tanh(x).

    Example:
        >>> tanh_shrink([0.0, 1.0]).numpy().round(3)
        array([0.   , 0.238], dtype=float32)
    """
    x = as_tensor(x)
    return x - ops.tanh(x)


@public
def threshold(x: ArrayLike, threshold: float, default_value: float) -> Tensor:
    """Return x where it is above the threshold, `default_value` elsewhere.

    Example:
        >>> threshold([-1.0, 2.0], 0.5, 9.0).numpy()
        array([9., 2.], dtype=float32)
    """
    x = as_tensor(x)
    return ops.where(x > threshold, x, float(default_value))


@public
def sparse_plus(x: ArrayLike) -> Tensor:
    """Return 0 up to -1, x from 1 on, and the parabola (x + 1)**2 / 4 between.

    Example:
        >>> sparse_plus([-2.0, 0.0, 3.0]).numpy()
        array([0.  , 0.25, 3.  ], dtype=float32)
    """
    x = as_tensor(x)
    return ops.where(x <= -1.0, 0.0, ops.where(x < 1.0, ops.square(x + 1.0) * 0.25, x))


@public
def sparse_sigmoid(x: ArrayLike) -> Tensor:
    """Return (x + 1) / 2 limited to [0, 1].

    Example:
        >>> sparse_sigmoid([-2.0, 0.0, 3.0]).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    x = as_tensor(x)
    return ops.clip(x + 1.0, 0.0, 2.0) * 0.5


@public
def sparsemax(x: ArrayLike, axis: int = -1) -> Tensor:
    """Return the probabilities along `axis` that are nearest to x; those far below the largest are exactly 0.

    Source: Martins and Astudillo, "From softmax to sparsemax", ICML 2016.

    Raises:
        ShapeError: x has no such axis, or nothing along it.

    Example:
        >>> sparsemax([[1.0, 0.5, -3.0]]).numpy()
        array([[0.75, 0.25, 0.  ]], dtype=float32)
    """
    return ops.sparsemax(x, axis)


@public
def glu(x: ArrayLike, axis: int = -1) -> Tensor:
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
    return x[(*before, slice(0, half))] * ops.sigmoid(x[(*before, slice(half, None))])
