"""Sorting, the largest elements, and places in sorted arrays; with Keras's arguments and dtypes."""

from __future__ import annotations

from operator import index

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import ravel
from gpudl.ops.numpy.creation import full
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.reductions import sum
from gpudl.ops.numpy.repetition import flip
from gpudl.ops.numpy.selection import take, where
from gpudl.ops.numpy.slices import take_along_axis
from gpudl.ops.primitives import elementwise, logic, order
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape, take_slice

__all__ = [
    "argpartition",
    "argsort",
    "digitize",
    "in_top_k",
    "isin",
    "searchsorted",
    "sort",
    "top_k",
]


def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Return, as int32, the indices that sort x along `axis`, or with None the flattened x.

    Equal elements stay in order; NaN comes last.

    Raises:
        ShapeError: x does not have the axis.

    Example:
        >>> argsort([3.0, 1.0, 2.0]).numpy()
        array([1, 2, 0], dtype=int32)
    """
    x = operand(x)
    return order.argsort(ravel(x), axis=0) if axis is None or x.ndim == 0 else order.argsort(x, axis=index(axis))


def sort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Return x sorted along `axis`, or with None the flattened x sorted; NaN comes last.

    Raises:
        ShapeError: x does not have the axis.

    Example:
        >>> sort([3.0, 1.0, 2.0]).numpy()
        array([1., 2., 3.], dtype=float32)
    """
    x = operand(x)
    if axis is None:
        x, axis = ravel(x), 0
    (along,) = axes_of(x.ndim, index(axis))
    return take_along_axis(x, order.argsort(x, axis=along), along)


def argpartition(x: TensorLike, kth: int, axis: int | None = -1) -> Tensor:
    """Return, as int32, indices along `axis` such that those before the `kth` are of elements that are not greater.

    Here they are those that sort x, see `argsort`.

    Raises:
        ShapeError: x does not have the axis, or there are not as many elements along it.

    Example:
        >>> int(argpartition([3.0, 1.0, 2.0], 1)[1])
        2
    """
    x = operand(x)
    if axis is None:
        x, axis = ravel(x), 0
    size = x.shape[axes_of(x.ndim, axis)[0]]
    if not -size <= index(kth) < size:
        raise ShapeError(f"argpartition: kth={kth} is out of range for {size} elements along axis {axis} of {x.shape}.")
    return argsort(x, axis)


def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """Return the `k` largest elements along the last axis, and their indices as int32; of equal ones the first.

    Args:
        x: an array.
        k: how many.
        sorted: whether the largest must come first; here it always does.

    Raises:
        ShapeError: there are fewer than `k` elements.

    Example:
        >>> [each.numpy().tolist() for each in top_k([3.0, 1.0, 2.0], 2)]
        [[3.0, 2.0], [0, 2]]
    """
    x, count = operand(x), index(k)
    if not x.ndim or not 0 <= count <= x.shape[-1]:
        raise ShapeError(f"top_k: there are no {k} elements along the last axis of {x.shape}.")
    # Sorted backwards and read backwards, equal elements are in order again.
    ascending = order.argsort(flip(x, -1), axis=-1)
    last = take_slice(flip(ascending, -1), key=(..., (None, count, None)))
    at = elementwise.subtract(x.shape[-1] - 1, last)
    return take_along_axis(x, at, -1), at


def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """Return, as bool, whether the prediction for each target is one of the `k` largest of its row.

    Args:
        targets: the class of each row.
        predictions: a row of scores for each target. Scores equal to the `k`-th largest are among the largest; NaN is
            less than any other score.
        k: how many.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> in_top_k([1, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]], 2).numpy()
        array([ True, False])
    """
    classes, scores = operand(targets), operand(predictions)
    if scores.ndim != 2 or classes.shape != scores.shape[:1]:
        raise ShapeError(f"in_top_k: targets of shape {classes.shape} do not fit predictions of {scores.shape}.")
    count = scores.shape[1]
    known = logic.logical_and(logic.greater_equal(classes, -count), logic.less(classes, count))
    own = take_along_axis(scores, reshape(where(known, classes, 0), (-1, 1)), 1)
    own = where(logic.equal(own, own), own, -np.inf)  # a score that is NaN is the least
    return logic.logical_and(known, logic.less(sum(logic.greater(scores, own), axis=1), index(k)))


def searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """Return, as int32, where values would have to be inserted to keep a vector sorted.

    Args:
        sorted_sequence: a vector that is sorted in ascending order.
        values: an array.
        side: ``"left"`` of equal elements, or ``"right"``.

    Raises:
        ShapeError: `sorted_sequence` is no vector.
        ValueError: an unknown side.

    Example:
        >>> searchsorted([1, 3, 5], [0, 3, 7]).numpy()
        array([0, 1, 3], dtype=int32)
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}.")
    return order.search(sorted_sequence, values, side=side)


def digitize(x: TensorLike, bins: TensorLike) -> Tensor:
    """Return, as int32, the number of the bin of each element: i if it is at least `bins[i - 1]` and below `bins[i]`.

    Args:
        x: an array.
        bins: the bounds, a vector that increases or decreases.

    Raises:
        ShapeError: `bins` is no vector.

    Example:
        >>> digitize([0.5, 1.0, 2.5], [0.0, 1.0, 2.0]).numpy()
        array([1, 2, 3], dtype=int32)
    """
    x, bounds = operand(x), operand(bins)
    rising = order.search(bounds, x, side="right")
    if bounds.size < 2:
        return rising
    falling = elementwise.subtract(bounds.size, order.search(flip(bounds), x, side="right"))
    return where(logic.less_equal(bounds[0], bounds[-1]), rising, falling)


def isin(x1: TensorLike, x2: TensorLike, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Return, as bool, whether each element of x1 is one of x2, or with `invert` whether it is not.

    Args:
        x1: an array.
        x2: an array, of any shape.
        assume_unique: accepted; without effect on the result.
        invert: return the opposite.

    Example:
        >>> isin([1, 2, 3], [3, 1]).numpy()
        array([ True, False,  True])
    """
    x, listed = operand(x1), ravel(x2)
    if not listed.size:
        return full(x.shape, bool(invert), np.bool_)
    kind = promote(x.dtype, listed.dtype)
    x, listed = cast(x, kind), sort(cast(listed, kind))
    at = elementwise.minimum(order.search(listed, x, side="left"), listed.size - 1)
    found = take(listed, at)
    return logic.not_equal(found, x) if invert else logic.equal(found, x)
