"""Activations with what Keras's functions of the same names in `ops` have not: logits, limits, other defaults."""

from __future__ import annotations

from collections.abc import Sequence

from gpudl import ops
from gpudl.engine.calls import public
from gpudl.engine.convert import as_tensor
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor, TensorLike

__all__ = [
    "exponential",
    "gelu",
    "linear",
    "mish",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


@public
def linear(x: TensorLike) -> Tensor:
    """Return x itself.

    Example:
        >>> linear([-1.0, 2.0]).numpy()
        array([-1.,  2.], dtype=float32)
    """
    return as_tensor(x)


@public
def relu(x: TensorLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Return x above a threshold and 0, or a line of small slope, below it.

    Args:
        x: input of any shape.
        negative_slope: the slope below the threshold; the line meets 0 at the threshold.
        max_value: the largest value returned; None for no limit.
        threshold: the value above which x is returned.

    Example:
        >>> relu([-2.0, 0.5, 3.0]).numpy()
        array([0. , 0.5, 3. ], dtype=float32)
        >>> relu([-2.0, 0.5, 3.0], negative_slope=0.5, max_value=2.0).numpy()
        array([-1. ,  0.5,  2. ], dtype=float32)
    """
    x = as_tensor(x)
    y: Tensor = ops.where(x > threshold, x, 0.0) if threshold else ops.relu(x)
    if max_value is not None:
        y = ops.clip(y, 0.0, float(max_value))
    return y - ops.relu(threshold - x) * negative_slope if negative_slope else y


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
def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """Return x * P(X <= x) for a standard normal X, like `ops.gelu`, but not approximated by default.

    Example:
        >>> gelu([-1.0, 2.0]).numpy().round(3)
        array([-0.159,  1.954], dtype=float32)
    """
    return ops.gelu(x, approximate)


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
    return x * ops.tanh(ops.softplus(x))
