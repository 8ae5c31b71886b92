"""Functions on the scale of logarithms, quotients that may be of nothing, and sums by segments, as Keras has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, Spec
from gpudl.engine.tensor import Tensor
from gpudl.kernels import expression as e
from gpudl.kernels.expression import Expression
from gpudl.ops import elementwise as math
from gpudl.ops import exponential, logic, reduce
from gpudl.ops.activation import sigmoid
from gpudl.ops.declare import elementwise
from gpudl.ops.elementwise import floating
from gpudl.ops.gather import take_grad
from gpudl.ops.numpy import plain
from gpudl.ops.shape import reshape

__all__ = ["divide_no_nan", "logaddexp", "logsumexp", "segment_sum"]


def _both_floating(a: Spec, b: Spec) -> Spec:
    return floating(math.whole(a, b))


@elementwise(_both_floating)
def logaddexp(x1: Expression, x2: Expression) -> Expression:
    """Return log(exp(x1) + exp(x2)), broadcast, without overflow."""
    apart = e.where(x1 == x2, 0, x1) - e.where(x1 == x2, 0, x2)  # 0 for equal infinities too
    return e.maximum(x1, x2) + e.log1p(e.exp(-e.absolute(apart)))


def _share(a: Tensor, b: Tensor) -> Tensor:
    """Return exp(a) / (exp(a) + exp(b)), 1/2 for two equal infinities."""
    return sigmoid(math.where(logic.equal(a, b), 0.0, a - b))


logaddexp.vjp(x1=lambda g, y, a, b: g * _share(a, b), x2=lambda g, y, a, b: g * _share(b, a))


def logsumexp(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Return log(sum(exp(x))) along `axis`, by default of all elements, without overflow.

    Example:
        >>> logsumexp([[1000.0, 1000.0]], axis=1).numpy().round(2)
        array([1000.69], dtype=float32)
    """
    x, along = operand(x), plain(axis)
    top = reduce.max(x, axis=along, keepdims=True)
    top = math.where(logic.less(math.absolute(top), np.inf), top, 0.0)
    total = exponential.log(reduce.sum(exponential.exp(x - top), axis=along, keepdims=True)) + top
    return total if keepdims else reshape(total, reduce.sum(x, axis=along).shape)


def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """Return x1 / x2, broadcast, and 0 where x2 is 0.

    Example:
        >>> divide_no_nan([1.0, 1.0], [2.0, 0.0]).numpy()
        array([0.5, 0. ], dtype=float32)
    """
    x2 = operand(x2, x1 if isinstance(x1, Tensor) else None)
    empty = logic.equal(x2, 0)
    return math.where(empty, 0.0, math.divide(x1, math.where(empty, 1, x2)))


def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Tensor:
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
    return take_grad(data, math.where(logic.less(ids, 0), count, ids), rows=count)
