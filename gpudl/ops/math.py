"""Sums on the scale of logarithms, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import plain
from gpudl.ops.primitives import elementwise, exponential, logic, reduce
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "logsumexp",
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
