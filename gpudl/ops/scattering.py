"""Arrays whose elements are written at given indices, with Keras's arguments and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import Shape, ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.selection import where
from gpudl.ops.primitives import elementwise, logic
from gpudl.ops.primitives.gather import numbered, take_grad
from gpudl.ops.primitives.shape import reshape, sizes, take_slice
from gpudl.ops.segments import combined

__all__ = [
    "scatter",
    "scatter_update",
]

Two = Callable[[Tensor, Tensor], Tensor]
_REDUCTIONS: dict[str | None, Two | None] = {
    None: None,
    "add": elementwise.add,
    "max": elementwise.maximum,
    "min": elementwise.minimum,
    "mul": elementwise.multiply,
}


def scatter(indices: TensorLike, values: TensorLike, shape: Sequence[int]) -> Tensor:
    """Return zeros of `shape` to which `values` are added at `indices`.

    Args:
        indices: integers (..., K): indices along the first K axes. Negative ones count from the end; values at indices
            out of range are left out.
        values: numbers or arrays (..., *shape[K:]).
        shape: the shape of the result.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> scatter([[0], [2], [0]], [1.0, 2.0, 3.0], (3,)).numpy()
        array([4., 0., 2.], dtype=float32)
    """
    wanted, new = sizes(shape), operand(values)
    at, rows, rest = _rows("scatter", indices, new, wanted)
    return reshape(take_grad(reshape(new, (-1 if rest == () else at.size, *rest)), at, rows=rows), wanted)


def scatter_update(
    inputs: TensorLike, indices: TensorLike, updates: TensorLike, reduction: str | None = None
) -> Tensor:
    """Return an array with the elements at `indices` replaced, or combined with `updates`.

    Args:
        inputs: an array.
        indices: integers (..., K): indices along the first K axes. Negative ones count from the end; updates at indices
            out of range are left out.
        updates: numbers or arrays (..., *inputs.shape[K:]), cast to the dtype of `inputs`. Of several at one index the
            last one counts.
        reduction: how an element and all updates at its index are combined: ``"add"``, ``"max"``, ``"min"`` or
            ``"mul"``; by default it is replaced.

    Raises:
        ShapeError: the shapes do not fit.
        ValueError: an unknown reduction.

    Example:
        >>> scatter_update([1.0, 2.0, 3.0], [[0], [2]], [7.0, 8.0]).numpy()
        array([7., 2., 8.], dtype=float32)
    """
    if reduction not in _REDUCTIONS:
        raise ValueError(f"scatter_update: reduction must be None, 'add', 'max', 'min' or 'mul', got {reduction!r}.")
    x = operand(inputs)
    new = cast(operand(updates, x), x.dtype)
    at, rows, rest = _rows("scatter_update", indices, new, x.shape)
    old, new = reshape(x, (rows, *rest)), reshape(new, (at.size, *rest))
    if reduction == "add":
        return reshape(elementwise.add(old, take_grad(new, at, rows=rows)), x.shape)
    function = _REDUCTIONS[reduction]
    values, found = combined(function, new, at, rows)
    return reshape(where(found, values if function is None else function(old, values), old), x.shape)


def _rows(name: str, indices: TensorLike, values: Tensor, shape: Shape) -> tuple[Tensor, int, Shape]:
    """Return numbers of rows, too large for those out of range, how many rows there are, and their shape."""
    at = operand(indices)
    if at.dtype.kind not in "iu" or not at.ndim or not at.shape[-1] <= len(shape):
        raise ShapeError(
            f"{name}: indices must be integers with up to {len(shape)} of them along the last axis for shape {shape}, "
            f"got {at.dtype} of shape {at.shape}."
        )
    count = at.shape[-1]
    if values.shape != (*at.shape[:-1], *shape[count:]):
        raise ShapeError(
            f"{name}: indices of shape {at.shape} into {shape} need values of shape "
            f"{(*at.shape[:-1], *shape[count:])}, got {values.shape}."
        )
    wide = reshape(cast(numbered(at), np.int64), (at.size // count if count else 1, count))
    flat: Tensor | int = 0
    outside: Tensor | bool = False
    for axis, n in enumerate(shape[:count]):
        i = take_slice(wide, key=((None, None, None), axis))
        i = where(logic.less(i, 0), i + n, i)
        outside = logic.logical_or(logic.logical_or(logic.less(i, 0), logic.greater_equal(i, n)), outside)
        flat = flat * n + i
    rows = prod(shape[:count])
    return where(outside, rows, flat), rows, shape[count:]
