"""Sums, products and extremes of rows that have the same number, with Keras's arguments and dtypes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpudl.engine.convert import as_tensor, operand
from gpudl.engine.spec import ShapeError, is_floating, limits
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import concatenate
from gpudl.ops.numpy.creation import full, positions
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.selection import take
from gpudl.ops.primitives import elementwise, logic, order
from gpudl.ops.primitives.gather import numbered, take_grad
from gpudl.ops.primitives.shape import reshape, take_slice

__all__ = [
    "segment_max",
    "segment_min",
    "segment_prod",
    "segment_sum",
]

Two = Callable[[Tensor, Tensor], Tensor]


def segment_sum(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Return the sums of the rows of `data` that have the same number.

    Args:
        data: rows (N, ...).
        segment_ids: the number of each row, (N,), from 0 on; rows of other numbers are left out.
        num_segments: how many sums there are; by default up to the largest number, which recorded steps cannot read.
        sorted: whether the numbers are sorted; without effect.

    Raises:
        ShapeError: numbers that are no integers, or not one a row.

    Example:
        >>> segment_sum([1.0, 2.0, 4.0], [0, 2, 0], num_segments=3).numpy()
        array([5., 0., 2.], dtype=float32)
    """
    data, ids, count = _checked(data, segment_ids, num_segments)
    return take_grad(data, ids, rows=count)


def _checked(data: TensorLike, segment_ids: TensorLike, num_segments: int | None) -> tuple[Tensor, Tensor, int]:
    """Return rows, the numbers of their segments, too large for negative ones, and how many segments there are."""
    data, ids = operand(data), operand(segment_ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or data.shape[:1] != ids.shape:
        raise ShapeError(
            f"segment_ids must be integers, one for each of the rows of data {data.shape}, got {ids.dtype} {ids.shape}."
        )
    ids = numbered(ids)
    count = int(ids.numpy().max(initial=-1)) + 1 if num_segments is None else int(num_segments)
    return data, elementwise.where(logic.less(ids, 0), count, ids), count


def combined(function: Two | None, rows: Tensor, ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return what an associative function makes of the rows of each number below `count`, and which numbers there are.

    The rows are sorted by their numbers, and then combined with those 1, 2, 4, ... places before, if these have the
    same number. The second result has the axes of the rows, of size 1; where it is False the first has any values.

    Args:
        function: takes two arrays of rows; None stands for the function that returns the second.
        rows: an array (N, ...).
        ids: integers (N,).
        count: how many results there are.
    """
    inner = (1,) * (rows.ndim - 1)
    if not ids.size:
        return full((count, *rows.shape[1:]), 0, rows.dtype), full((count, *inner), False, np.bool_)
    at = order.argsort(ids, axis=0)
    numbers, rows = take(ids, at), take(rows, at, 0)
    step = 1
    while function is not None and step < ids.size:
        late, early = ((step, None, None),), ((None, -step, None),)
        same = logic.equal(take_slice(numbers, key=late), take_slice(numbers, key=early))
        before, here = take_slice(rows, key=early), take_slice(rows, key=late)
        joined = elementwise.where(reshape(same, (-1, *inner)), function(before, here), here)
        rows = concatenate([take_slice(rows, key=((None, step, None),)), joined])
        step *= 2
    wanted = positions(count)
    last = elementwise.maximum(order.search(numbers, wanted, side="right") - 1, 0)
    found = logic.equal(take(numbers, last), wanted)
    return take(rows, last, 0), reshape(found, (-1, *inner))


def _reduced(
    function: Two,
    nothing: Callable[[np.dtype], float],
    data: TensorLike,
    segment_ids: TensorLike,
    num_segments: int | None,
) -> Tensor:
    data, ids, count = _checked(data, segment_ids, num_segments)
    values, found = combined(function, data, ids, count)
    return cast(elementwise.where(found, values, as_tensor(np.asarray(nothing(data.dtype), data.dtype))), data.dtype)


def _least(dtype: np.dtype) -> float:
    return -np.inf if is_floating(dtype) else limits(dtype)[0]


def _greatest(dtype: np.dtype) -> float:
    return np.inf if is_floating(dtype) else limits(dtype)[1]


def segment_max(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Return the maxima of the rows of `data` that have the same number, see `segment_sum`.

    A segment without rows has the least number of the dtype, minus infinity for floats.

    Raises:
        ShapeError: numbers that are no integers, or not one a row.

    Example:
        >>> segment_max([1.0, 2.0, 4.0], [0, 1, 0], num_segments=2).numpy()
        array([4., 2.], dtype=float32)
    """
    return _reduced(elementwise.maximum, _least, data, segment_ids, num_segments)


def segment_min(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Return the minima of the rows of `data` that have the same number, see `segment_sum`.

    A segment without rows has the greatest number of the dtype, infinity for floats.

    Raises:
        ShapeError: numbers that are no integers, or not one a row.

    Example:
        >>> segment_min([1.0, 2.0, 4.0], [0, 1, 0], num_segments=2).numpy()
        array([1., 2.], dtype=float32)
    """
    return _reduced(elementwise.minimum, _greatest, data, segment_ids, num_segments)


def segment_prod(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Return the products of the rows of `data` that have the same number, see `segment_sum`; 1 without rows.

    Raises:
        ShapeError: numbers that are no integers, or not one a row.

    Example:
        >>> segment_prod([1.0, 2.0, 4.0], [0, 1, 0], num_segments=2).numpy()
        array([4., 2.], dtype=float32)
    """
    return _reduced(elementwise.multiply, lambda dtype: 1, data, segment_ids, num_segments)
