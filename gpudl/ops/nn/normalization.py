"""Normalizations and the statistics that they use, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from gpudl import config
from gpudl.engine.convert import as_tensor, operand
from gpudl.engine.spec import FLOAT32, Shape, ShapeError, is_floating, is_half
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import plain
from gpudl.ops.primitives import norm, reduce
from gpudl.ops.primitives.elementwise import absolute, cast, cast_like, clip, maximum, square
from gpudl.ops.primitives.exponential import power, rsqrt
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import in_order, inverse, reshape

__all__ = [
    "batch_normalization",
    "layer_normalization",
    "moments",
    "normalize",
    "rms_normalization",
]


def moments(
    x: TensorLike, axes: int | Sequence[int] | None, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance along `axes`, None for all of them.

    16-bit floats are computed in float32, and limited to what they can hold.

    Raises:
        ValueError: `synchronized`, which is over the devices of a computation, of which there is one.

    Example:
        >>> [t.numpy().tolist() for t in moments([[1.0, 2.0], [3.0, 6.0]], axes=[0])]
        [[2.0, 4.0], [1.0, 4.0]]
    """
    if synchronized:
        raise ValueError("one device computes a step: leave out synchronized=True.")
    x, along = operand(x), plain(axes)
    wide = _wide(x)
    mean = reduce.mean(wide, along, True)
    variance = reduce.mean(square(wide - mean), along, keepdims)
    if not keepdims:
        mean = reshape(mean, variance.shape)
    return (_held(mean, x), _held(variance, x)) if is_half(x.dtype) else (mean, variance)


def _wide(x: Tensor) -> Tensor:
    """Return 16-bit floats and integers in float32."""
    return x if is_floating(x.dtype) and not is_half(x.dtype) else cast(x, dtype=FLOAT32)


def _held(x: Tensor, like: Tensor) -> Tensor:
    if like.dtype == np.float16:
        largest = float(np.finfo(np.float16).max)
        x = clip(x, low=-largest, high=largest)
    return cast_like(x, like)


def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    axis: int,
    offset: TensorLike | None = None,
    scale: TensorLike | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """Return (x - mean) / sqrt(variance + epsilon) * scale + offset, each with one value per channel along `axis`.

    Raises:
        ShapeError: one of them does not have a value for each channel.

    Example:
        >>> batch_normalization([[1.0, 4.0]], [1.0, 2.0], [1.0, 4.0], -1, epsilon=0.0).numpy()
        array([[0., 1.]], dtype=float32)
    """
    x = as_tensor(x)
    (at,) = axes_of(x.ndim, axis)
    shape = [1] * x.ndim
    shape[at] = x.shape[at]

    def each(value: TensorLike) -> Tensor:
        value = operand(value, x)
        if value.shape != x.shape[at : at + 1]:
            raise ShapeError(
                f"batch_normalization of {x.shape} needs {x.shape[at]} values, one for each channel of axis {at}, "
                f"got {value.shape}."
            )
        return reshape(value, shape)

    factor = rsqrt(each(variance) + epsilon)
    if scale is not None:
        factor = factor * each(scale)
    y = (x - each(mean)) * factor
    return y if offset is None else y + each(offset)


def layer_normalization(
    x: TensorLike,
    gamma: TensorLike | None = None,
    beta: TensorLike | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    **kwargs: object,
) -> Tensor:
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the mean and variance along `axis`.

    Args:
        x: floats of any shape.
        gamma: factors, one for each position along the axes; None for 1.
        beta: terms, one for each position along the axes; None for 0.
        axis: the axes that are normalized together.
        epsilon: added to the variance; None for `config.epsilon`.
        kwargs: none; `rms_scaling` is `rms_normalization` here.

    Raises:
        ShapeError: x is not of floats, or gamma or beta have another shape.

    Example:
        >>> layer_normalization([[1.0, 3.0], [5.0, 5.0]]).numpy().round(3)
        array([[-1.,  1.],
               [ 0.,  0.]], dtype=float32)
    """
    if kwargs:
        raise TypeError(f"layer_normalization has no argument {min(kwargs)!r}. For rms_scaling use rms_normalization.")
    x = as_tensor(x)
    axes = axes_of(x.ndim, plain(axis))
    order = (*(a for a in range(x.ndim) if a not in axes), *axes)
    inner = tuple(x.shape[a] for a in axes)
    rows = in_order(x, order)
    shape = rows.shape
    rows = reshape(rows, (*shape[: x.ndim - len(axes)], prod(inner)))
    each = (_for_each(value, fill, inner, x) for value, fill in ((gamma, 1.0), (beta, 0.0)))
    y = norm.layer_norm(rows, *each, epsilon=_epsilon(epsilon))[0]
    return in_order(reshape(y, shape), inverse(order))


def _for_each(value: TensorLike | None, fill: float, inner: Shape, x: Tensor) -> Tensor:
    """Return a value for each position along the axes that are normalized, in one axis."""
    if value is None:
        return reduce.broadcast_to(operand(fill, x), shape=(prod(inner),))
    value = operand(value, x)
    if tuple(n for n in value.shape if n != 1) != tuple(n for n in inner if n != 1):
        raise ShapeError(f"layer_normalization of {x.shape} needs gamma and beta of shape {inner}, got {value.shape}.")
    return reshape(value, -1)


def _epsilon(epsilon: float | None) -> float:
    return config.epsilon() if epsilon is None else float(epsilon)


def rms_normalization(
    x: TensorLike, scale: TensorLike | None = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Tensor:
    """Return x / sqrt(mean(x**2) + epsilon) * scale, with the mean along `axis`.

    Args:
        x: floats of any shape.
        scale: factors, one for each position along the axes; None for 1.
        axis: the axes that are normalized together.
        epsilon: added to the mean of the squares; None for `config.epsilon`.

    Source: Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Raises:
        ShapeError: `scale` does not fit.

    Example:
        >>> rms_normalization([[3.0, 4.0]]).numpy().round(4)
        array([[0.8485, 1.1314]], dtype=float32)
    """
    x = as_tensor(x)
    axes = axes_of(x.ndim, plain(axis))
    wide = _wide(x)
    y = wide * rsqrt(reduce.mean(square(wide), axes, True) + _epsilon(epsilon))
    if scale is not None:
        scale = operand(scale, x)
        if scale.ndim != x.ndim:
            scale = reshape(scale, [n if a in axes else 1 for a, n in enumerate(x.shape)])
        y = y * scale
    return cast_like(y, x)


def normalize(x: TensorLike, axis: int | Sequence[int] = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """Return x divided by its norm along `axis`, (sum |x|**order)**(1 / order), which counts as epsilon if smaller.

    Raises:
        ValueError: `order` is not a whole number from 1.

    Example:
        >>> normalize([[3.0, 4.0], [0.0, 0.0]]).numpy()
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"normalize: order must be a whole number from 1, got {order!r}.")
    x, along, least = as_tensor(x), plain(axis), _epsilon(epsilon)
    if order == 2:
        return x * rsqrt(maximum(reduce.sum(square(x), axis=along, keepdims=True), least**2))
    size = absolute(x)
    total = reduce.sum(size if order == 1 else power(size, float(order)), axis=along, keepdims=True)
    return x / maximum(total if order == 1 else power(total, 1.0 / order), least)
