"""Piecewise linear activations."""

from __future__ import annotations

from gpudl import ops
from gpudl.engine.calls import public
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, TensorLike

__all__ = [
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "leaky_relu",
    "linear",
    "relu",
    "relu6",
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
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """Return x where it is positive, negative_slope * x elsewhere.

    Example:
        >>> leaky_relu([-1.0, 2.0]).numpy()
        array([-0.2,  2. ], dtype=float32)
    """
    x = as_tensor(x)
    return ops.where(x >= 0.0, x, x * negative_slope)


@public
def relu6(x: TensorLike) -> Tensor:
    """Return x limited to [0, 6].

    Example:
        >>> relu6([-1.0, 2.0, 9.0]).numpy()
        array([0., 2., 6.], dtype=float32)
    """
    return relu(x, max_value=6.0)


@public
def hard_sigmoid(x: TensorLike) -> Tensor:
    """Return x / 6 + 0.5 limited to [0, 1].

    Example:
        >>> hard_sigmoid([-4.0, 0.0, 1.5]).numpy()
        array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return relu6(as_tensor(x) + 3.0) / 6.0


@public
def hard_silu(x: TensorLike) -> Tensor:
    """Return x * hard_sigmoid(x), also called hard_swish (Howard et al., 2019).

    Example:
        >>> hard_silu([0.0, 1.5, 4.0]).numpy()
        array([0.   , 1.125, 4.   ], dtype=float32)
    """
    x = as_tensor(x)
    return x * hard_sigmoid(x)


hard_swish = hard_silu
