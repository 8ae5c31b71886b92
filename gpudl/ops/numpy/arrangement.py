"""NumPy's functions that rearrange the elements of tensors, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from operator import index

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import Axis, axes_in_order, plain
from gpudl.ops.primitives import reduce, shape
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape, sizes

__all__ = [
    "append",
    "broadcast_to",
    "concatenate",
    "dstack",
    "expand_dims",
    "hstack",
    "moveaxis",
    "ravel",
    "squeeze",
    "stack",
    "swapaxes",
    "transpose",
    "vstack",
]


def broadcast_to(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """Return x repeated along its axes of size 1 and new leading ones up to `shape`.

    Raises:
        ShapeError: if x does not broadcast to `shape`.

    Example:
        >>> broadcast_to([1.0, 2.0], (2, 2)).numpy()
        array([[1., 2.],
               [1., 2.]], dtype=float32)
    """
    return reduce.broadcast_to(x, shape=sizes(shape))


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Return x with its axes in another order, by default reversed, copied.

    Raises:
        ShapeError: if `axes` is not a permutation of the axes of x.

    Example:
        >>> transpose([[1.0, 2.0, 3.0]]).shape
        (3, 1)
    """
    x = operand(x)
    order = range(x.ndim)[::-1] if axes is None else sizes(axes)
    return shape.transpose(x, axes=tuple(a + x.ndim if -x.ndim <= a < 0 else a for a in order))


def concatenate(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Return arrays concatenated along `axis`, the only one along which their sizes may differ.

    Raises:
        ShapeError: if other sizes differ, or the arrays do not have the axis.

    Example:
        >>> concatenate([[[1.0], [2.0]], [[3.0], [4.0]]], axis=1).numpy()
        array([[1., 3.],
               [2., 4.]], dtype=float32)
    """
    return shape.concatenate(*xs, axis=index(axis))


def stack(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Return arrays of the same shape stacked along a new `axis`.

    Example:
        >>> stack([[1.0, 2.0], [3.0, 4.0]], axis=1).numpy()
        array([[1., 3.],
               [2., 4.]], dtype=float32)
    """
    return concatenate([expand_dims(part, axis) for part in x], axis)


def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """Return x with new axes of size 1, at the positions `axis` of the result.

    Example:
        >>> expand_dims([1.0, 2.0], -1).shape
        (2, 1)
    """
    x, new = operand(x), sizes(axis)
    axes = axes_of(x.ndim + len(new), new)
    old = iter(x.shape)
    return reshape(x, [1 if a in axes else next(old) for a in range(x.ndim + len(axes))])


def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Return x without `axis`, whose size must be 1, by default without all axes of size 1.

    Raises:
        ShapeError: if an axis has another size.

    Example:
        >>> squeeze([[1.0], [2.0]]).shape
        (2,)
    """
    x = operand(x)
    gone = axes_of(x.ndim, plain(axis)) if axis is not None else [a for a, n in enumerate(x.shape) if n == 1]
    if builtins.any(x.shape[a] != 1 for a in gone):
        raise ShapeError(f"only axes of size 1 can be squeezed, got axis {axis} of {x.shape}.")
    return reshape(x, [n for a, n in enumerate(x.shape) if a not in gone])


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Return x with two axes exchanged, copied.

    Raises:
        ShapeError: if x does not have the axes.

    Example:
        >>> swapaxes([[1.0, 2.0, 3.0]], 0, 1).shape
        (3, 1)
    """
    x = operand(x)
    order = list(range(x.ndim))
    one, other = axes_in_order(x.ndim, (axis1, axis2))
    order[one], order[other] = other, one
    return transpose(x, order)


def moveaxis(x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Return x with the axes `source` moved to the positions `destination`; the others stay in order.

    Raises:
        ShapeError: if x does not have the axes, or there are not as many of both.

    Example:
        >>> moveaxis([[[1.0, 2.0, 3.0]]], 0, -1).shape
        (1, 3, 1)
    """
    x = operand(x)
    taken, places = axes_in_order(x.ndim, source), axes_in_order(x.ndim, destination)
    if len({*taken}) != len(places) or len({*places}) != len(taken):
        raise ShapeError(
            f"moveaxis: source and destination must be equally many different axes, got {source} and {destination}."
        )
    order = [a for a in range(x.ndim) if a not in taken]
    for place, axis in sorted(zip(places, taken, strict=True)):
        order.insert(place, axis)
    return x if order == sorted(order) else transpose(x, order)


def ravel(x: TensorLike) -> Tensor:
    """Return the elements of x in one axis.

    Example:
        >>> ravel([[1.0, 2.0], [3.0, 4.0]]).numpy()
        array([1., 2., 3., 4.], dtype=float32)
    """
    return reshape(x, -1)


def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> Tensor:
    """Return x1 and x2 concatenated along `axis`, by default both flattened.

    Raises:
        ShapeError: if sizes along other axes differ.

    Example:
        >>> append([1.0, 2.0], [[3.0], [4.0]]).numpy()
        array([1., 2., 3., 4.], dtype=float32)
    """
    if axis is None:
        return concatenate([ravel(x1), ravel(x2)])
    return concatenate([x1, x2], axis)


def _with_axes(x: TensorLike, least: int) -> Tensor:
    """Return x with at least so many axes, in the way of `vstack` and `dstack`: a vector is a row."""
    x = operand(x)
    shape = x.shape if x.ndim else (1,)
    if len(shape) < least:
        shape = (1, *shape) if len(shape) == 1 and least > 1 else shape
        shape = (*shape, *(1,) * (least - len(shape)))
    return x if shape == x.shape else reshape(x, shape)


def hstack(xs: Sequence[TensorLike]) -> Tensor:
    """Return arrays concatenated along the second axis, vectors along the only one.

    Example:
        >>> hstack([[1.0, 2.0], [3.0]]).numpy()
        array([1., 2., 3.], dtype=float32)
    """
    parts = [_with_axes(x, 1) for x in xs]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(xs: Sequence[TensorLike]) -> Tensor:
    """Return arrays concatenated along the first axis; vectors become rows.

    Example:
        >>> vstack([[1.0, 2.0], [3.0, 4.0]]).numpy()
        array([[1., 2.],
               [3., 4.]], dtype=float32)
    """
    return concatenate([_with_axes(x, 2) for x in xs])


def dstack(xs: Sequence[TensorLike]) -> Tensor:
    """Return arrays concatenated along the third axis, which they get if they do not have it; vectors become rows.

    Example:
        >>> dstack([[1.0, 2.0], [3.0, 4.0]]).numpy()
        array([[[1., 3.],
                [2., 4.]]], dtype=float32)
    """
    return concatenate([_with_axes(x, 3) for x in xs], 2)
