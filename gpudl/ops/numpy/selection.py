"""Elements selected by conditions and indices, with Keras's arguments and dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import overload

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.indexing import gathered, nonzero, whole
from gpudl.ops.primitives import elementwise, logic
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "select",
    "take",
    "where",
]


@overload
def where(condition: TensorLike) -> tuple[Tensor, ...]: ...


@overload
def where(condition: TensorLike, x1: TensorLike, x2: TensorLike) -> Tensor: ...


def where(
    condition: TensorLike, x1: TensorLike | None = None, x2: TensorLike | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Return x1 where the condition is not 0, x2 elsewhere; without both, the indices where that is, see `nonzero`.

    No gradient flows to elements that are not selected, even if they are NaN.

    Raises:
        ValueError: only one of x1 and x2 is given.

    Example:
        >>> where([True, False], [1.0, 2.0], 0.0).numpy()
        array([1., 0.], dtype=float32)
    """
    if x1 is None and x2 is None:
        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError("where needs a condition alone, or both x1 and x2, the values where it holds and elsewhere.")
    condition = operand(condition)
    if condition.dtype != np.bool_:
        condition = logic.not_equal(condition, 0)
    return elementwise.where(condition, x1, x2)


def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Return the elements of x at `indices` along `axis`, by default of the flattened x.

    A negative index counts from the end. One out of range is an error if the host has its value: on the CPU outside of
    recorded steps, and always for lists and NumPy arrays. Otherwise the result has all bits set: it is NaN, for
    integers -1 or the largest value, for bools True. It does not contribute to the gradient.

    Raises:
        IndexError: an index is out of range, and the host has its value.
        ShapeError: x does not have the axis.

    Example:
        >>> take([[1.0, 2.0], [3.0, 4.0]], [1, 0], axis=1).numpy()
        array([[2., 1.],
               [4., 3.]], dtype=float32)
    """
    x = operand(x)
    if axis is None:
        x, axis = reshape(x, -1), 0
    (at,) = axes_of(x.ndim, index(axis))
    return gathered(x, [slice(None)] * at + [whole(indices)] + [slice(None)] * (x.ndim - at - 1))


def select(condlist: Sequence[TensorLike], choicelist: Sequence[TensorLike], default: TensorLike = 0) -> Tensor:
    """Return elements of the first choice whose condition is not 0, and `default` where none is.

    Args:
        condlist: arrays of bools.
        choicelist: an array for each of them.
        default: the value where no condition holds.

    Raises:
        ValueError: no conditions, or not as many choices.

    Example:
        >>> select([[True, False, False], [True, True, False]], [[1, 2, 3], [4, 5, 6]]).numpy()
        array([1, 5, 0], dtype=int32)
    """
    if not condlist or len(condlist) != len(choicelist):
        raise ValueError(
            f"select needs a choice for each condition, and at least one, got {len(condlist)} conditions and "
            f"{len(choicelist)} choices."
        )
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        default = where(condition, choice, default)
    return operand(default)
