"""Repeating, reversing and shifting elements along axes, with Keras's arguments and defaults."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from itertools import chain

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import concatenate, expand_dims, ravel, swapaxes
from gpudl.ops.numpy.axes import Axis, axes_in_order, integers, plain
from gpudl.ops.numpy.selection import take
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import Key, reshape, sizes, take_slice

__all__ = [
    "flip",
    "fliplr",
    "flipud",
    "repeat",
    "roll",
    "rot90",
    "tile",
]


def tile(x: TensorLike, repeats: int | Sequence[int]) -> Tensor:
    """Return adjacent copies of x: `repeats` along each axis, or along the last one.

    Example:
        >>> tile([[1.0, 2.0]], (2, 2)).numpy()
        array([[1., 2., 1., 2.],
               [1., 2., 1., 2.]], dtype=float32)
    """
    x, counts = operand(x), sizes(repeats)
    ndim = builtins.max(x.ndim, len(counts))
    shape = (*[1] * (ndim - x.ndim), *x.shape)
    counts = (*[1] * (ndim - len(counts)), *counts)
    apart = reshape(x, [*chain.from_iterable((1, n) for n in shape)])
    beside = reduce.broadcast_to(apart, shape=(*chain.from_iterable(zip(counts, shape, strict=True)),))
    return reshape(beside, [n * count for n, count in zip(shape, counts, strict=True)])


def repeat(x: TensorLike, repeats: int | Sequence[int] | TensorLike, axis: int | None = None) -> Tensor:
    """Return each element of x repeated along `axis`, by default those of the flattened x.

    Args:
        x: an array.
        repeats: how often, for all elements or for each index along the axis.
        axis: the axis.

    Raises:
        TracingError: `repeats` is computed in a recorded step, whose results have fixed shapes.

    Example:
        >>> repeat([1.0, 2.0], 2).numpy(), repeat([[1.0], [2.0]], [1, 2], axis=0).shape
        (array([1., 1., 2., 2.], dtype=float32), (3, 1))
    """
    x = operand(x)
    x, along = (ravel(x), 0) if axis is None else (x, axes_of(x.ndim, axis)[0])
    counts = repeats if isinstance(repeats, int) else integers(repeats)
    if np.size(counts) > 1:
        return take(x, np.repeat(np.arange(x.shape[along]), counts), along)
    count = counts if isinstance(counts, int) else int(counts.item())
    wider = expand_dims(x, along + 1)
    shape = (*x.shape[: along + 1], count, *x.shape[along + 1 :])
    total = (*x.shape[:along], x.shape[along] * count, *x.shape[along + 1 :])
    return reshape(reduce.broadcast_to(wider, shape=shape), total)


def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """Return x reversed along `axis`, by default along all axes.

    Example:
        >>> flip([[1.0, 2.0], [3.0, 4.0]], axis=1).numpy()
        array([[2., 1.],
               [4., 3.]], dtype=float32)
    """
    x = operand(x)
    axes = axes_of(x.ndim, plain(axis))
    key: Key = tuple((None, None, -1 if a in axes else None) for a in range(x.ndim))
    return take_slice(x, key=key)


def flipud(x: TensorLike) -> Tensor:
    """Return x reversed along the first axis.

    Example:
        >>> flipud([1.0, 2.0]).numpy()
        array([2., 1.], dtype=float32)
    """
    return flip(x, 0)


def fliplr(x: TensorLike) -> Tensor:
    """Return x reversed along the second axis.

    Example:
        >>> fliplr([[1.0, 2.0]]).numpy()
        array([[2., 1.]], dtype=float32)
    """
    return flip(x, 1)


def roll(x: TensorLike, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Return x with its elements moved by `shift` places along `axis`; what leaves at one end comes in at the other.

    Args:
        x: an array.
        shift: how far, for all axes or for each.
        axis: one axis or several; by default the flattened x is moved.

    Example:
        >>> roll([1.0, 2.0, 3.0], 1).numpy()
        array([3., 1., 2.], dtype=float32)
    """
    x = operand(x)
    if axis is None:
        return reshape(roll(ravel(x), builtins.sum(sizes(shift)), 0), x.shape)
    for by, a in zip(*np.broadcast_arrays(sizes(shift), sizes(axis)), strict=True):
        (along,) = axes_of(x.ndim, int(a))
        count = x.shape[along]
        if count and (cut := -int(by) % count):
            before: Key = ((None, None, None),) * along
            x = concatenate(
                [take_slice(x, key=(*before, (cut, None, None))), take_slice(x, key=(*before, (None, cut, None)))],
                along,
            )
    return x


def rot90(array: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Return an array turned `k` times by 90 degrees in the plane of two axes, from the first towards the second.

    Raises:
        ShapeError: `axes` are not two different axes of the array.

    Example:
        >>> rot90([[1.0, 2.0], [3.0, 4.0]]).numpy()
        array([[2., 4.],
               [1., 3.]], dtype=float32)
    """
    x = operand(array)
    one, other = axes_in_order(x.ndim, axes)
    if one == other:
        raise ShapeError(f"rot90: axes must be two different axes, got {axes}.")
    turns = k % 4
    if turns % 2 == 0:
        return flip(x, (one, other)) if turns else x
    turned = swapaxes(x, one, other)
    return flip(turned, one if turns == 1 else other)
