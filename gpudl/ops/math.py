"""Sums on the scale of logarithms and by segments, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import plain
from gpudl.ops.primitives import elementwise, exponential, logic, reduce
from gpudl.ops.primitives.gather import take_grad
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "logsumexp",
    "segment_sum",
]


def logsumexp(x: TensorLike, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Return log(sum(exp(x))) along `axis`, by default of all elements, without overflow.

    Example:
        >>> logsumexp([[1000.0, 1000.0]], axis=1).numpy().round(2)
        array([1000.69], dtype=float32)
    """
    x, along = operand(x), plain(axis)
    top = reduce.max(x, axis=along, keepdims=True)
    top = elementwise.where(logic.less(elementwise.absolute(top), np.inf), top, 0.0)
    total = exponential.log(reduce.sum(exponential.exp(x - top), axis=along, keepdims=True)) + top
    return total if keepdims else reshape(total, reduce.sum(x, axis=along).shape)


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
    data, ids = operand(data), operand(segment_ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or data.shape[:1] != ids.shape:
        raise ShapeError(
            f"segment_ids must be integers, one for each of the rows of data {data.shape}, got {ids.dtype} {ids.shape}."
        )
    count = int(ids.numpy().max(initial=-1)) + 1 if num_segments is None else int(num_segments)
    return take_grad(data, elementwise.where(logic.less(ids, 0), count, ids), rows=count)
