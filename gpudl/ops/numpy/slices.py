"""Blocks of tensors and their replacement, elements by indices along an axis; with Keras's arguments and dtypes."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from operator import index
from typing import TypeAlias

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import Shape, ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import concatenate
from gpudl.ops.numpy.axes import axes_in_order
from gpudl.ops.numpy.creation import positions
from gpudl.ops.numpy.elementwise import cast, clip
from gpudl.ops.numpy.indexing import gathered, getitem, whole
from gpudl.ops.numpy.selection import take, where
from gpudl.ops.primitives import elementwise, logic
from gpudl.ops.primitives.shape import Key, reshape, sizes, take_slice

__all__ = [
    "get_item",
    "slice",
    "slice_update",
    "take_along_axis",
    "unravel_index",
]

Starts: TypeAlias = "Sequence[TensorLike] | TensorLike"


def get_item(x: TensorLike, key: object) -> Tensor:
    """Return x[key], with NumPy's rules.

    Example:
        >>> get_item([[1.0, 2.0], [3.0, 4.0]], 0).numpy()
        array([1., 2.], dtype=float32)
    """
    return getitem(operand(x), key)


def slice(inputs: TensorLike, start_indices: Starts, shape: Sequence[int]) -> Tensor:
    """Return a block of an array that begins at `start_indices`.

    Args:
        inputs: an array.
        start_indices: an index for each axis, integers or a tensor, which may be computed in a recorded step. A block
            that would end outside of the array begins earlier.
        shape: the size of the block along each axis, -1 for all that follows an integer index.

    Raises:
        ShapeError: not as many indices or sizes as axes, or a block that is larger than the array.

    Example:
        >>> slice([[1, 2, 3], [4, 5, 6]], [0, 1], [2, 2]).numpy()
        array([[2, 3],
               [5, 6]], dtype=int32)
    """
    x = operand(inputs)
    starts = _starts("slice", x, start_indices)
    wanted = [
        n - start if size == -1 and isinstance(start, int) else size
        for n, start, size in zip(x.shape, starts, sizes(shape), strict=False)
    ]
    return _block("slice", x, starts, wanted)


def _starts(name: str, x: Tensor, start_indices: Starts) -> list[int | Tensor]:
    """Return an integer or a number on the device for each axis."""
    given: Sequence[TensorLike]
    if isinstance(start_indices, list | tuple):
        given = start_indices
    elif isinstance(start_indices, Tensor):
        given = [start_indices[at] for at in range(len(start_indices))]
    else:
        given = np.asarray(start_indices).tolist()
    if len(given) != x.ndim:
        raise ShapeError(f"{name}: {len(given)} start_indices do not fit the {x.ndim} axes of {x.shape}.")
    starts = [each if isinstance(each, Tensor) else index(each) for each in given]  # type: ignore[arg-type]
    return [
        start + n if isinstance(start, int) and start < 0 else start for start, n in zip(starts, x.shape, strict=True)
    ]


def _inside(start: int | Tensor, size: int, block: int) -> int | Tensor:
    """Return the index at which a block begins that lies inside of an axis."""
    if isinstance(start, int):
        return builtins.min(builtins.max(start, 0), size - block)
    start = cast(start, np.int32)
    return clip(where(logic.less(start, 0), start + size, start), 0, size - block)


def _fitted(name: str, x: Tensor, starts: list[int | Tensor], block: Sequence[int]) -> list[int | Tensor]:
    if len(block) != x.ndim or builtins.any(not 0 <= size <= n for size, n in zip(block, x.shape, strict=True)):
        raise ShapeError(f"{name}: a block of shape {tuple(block)} does not lie in an array of shape {x.shape}.")
    return [0 if size == n else _inside(start, n, size) for start, size, n in zip(starts, block, x.shape, strict=True)]


def _block(name: str, x: Tensor, starts: list[int | Tensor], block: Sequence[int]) -> Tensor:
    fitted = _fitted(name, x, starts, block)
    for axis, (start, size) in enumerate(zip(fitted, block, strict=True)):
        if isinstance(start, Tensor):
            x = take(x, positions(size) + start, axis)
    key: Key = tuple(
        (start, start + size, None) if isinstance(start, int) else (None, None, None)
        for start, size in zip(fitted, block, strict=True)
    )
    return take_slice(x, key=key)


def slice_update(inputs: TensorLike, start_indices: Starts, updates: TensorLike) -> Tensor:
    """Return an array with the block that begins at `start_indices` replaced by `updates`.

    Args:
        inputs: an array.
        start_indices: an index for each axis, integers or a tensor, which may be computed in a recorded step. A block
            that would end outside of the array begins earlier.
        updates: an array with as many axes, cast to the dtype of `inputs`.

    Raises:
        ShapeError: not as many indices as axes, or a block that is larger than the array.

    Example:
        >>> slice_update([1, 2, 3, 4], [1], [7, 8]).numpy()
        array([1, 7, 8, 4], dtype=int32)
    """
    x = operand(inputs)
    new = cast(operand(updates, x), x.dtype)
    fitted = _fitted("slice_update", x, _starts("slice_update", x, start_indices), new.shape)
    return _replaced(x, fitted, new, 0)


def _replaced(x: Tensor, starts: list[int | Tensor], new: Tensor, axis: int) -> Tensor:
    """Return x with a block replaced, which spans the whole of all axes before `axis`."""
    if axis == x.ndim:
        return new
    start, size, n = starts[axis], new.shape[axis], x.shape[axis]
    if size == n:
        return _replaced(x, starts, new, axis + 1)
    if isinstance(start, Tensor):
        rows = take(x, positions(size) + start, axis)
        places = reshape(positions(n) - start, (-1, *[1] * (x.ndim - axis - 1)))
        inside = logic.logical_and(logic.greater_equal(places, 0), logic.less(places, size))
        chosen = take(_replaced(rows, starts, new, axis + 1), clip(reshape(places, -1), 0, size - 1), axis)
        return where(inside, chosen, x) if size else x
    before: Key = ((None, None, None),) * axis
    parts = [take_slice(x, key=(*before, bounds)) for bounds in ((0, start, None), (start, start + size, None))]
    behind = take_slice(x, key=(*before, (start + size, None, None)))
    return concatenate([parts[0], _replaced(parts[1], starts, new, axis + 1), behind], axis)


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Return, at each place, the element of x whose index along `axis` is there in `indices`.

    Args:
        x: an array.
        indices: integers of as many axes, whose other sizes are those of x or 1; negative ones count from the end. For
            those out of range see `take`.
        axis: the axis; by default x is flattened.

    Raises:
        IndexError: an index is out of range, and the host has its value.
        ShapeError: the shapes do not fit.

    Example:
        >>> take_along_axis([[1.0, 2.0], [3.0, 4.0]], [[1], [0]], axis=1).numpy()
        array([[2.],
               [3.]], dtype=float32)
    """
    x, at = operand(x), whole(indices)
    if axis is None:
        x, along = reshape(x, -1), 0
    else:
        (along,) = axes_in_order(x.ndim, axis)
    if at.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: indices of shape {at.shape} do not fit {x.shape}: both need as many axes.")
    shapes: list[Shape] = [(*shape[:along], 1, *shape[along + 1 :]) for shape in (x.shape, at.shape)]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"take_along_axis: indices of shape {at.shape} do not fit {x.shape}: only sizes on axis {along} may differ."
        ) from None
    grid = [
        at
        if number == along
        else np.arange(n if x.shape[number] != 1 else 1).reshape([-1 if a == number else 1 for a in range(x.ndim)])
        for number, n in enumerate(shape)
    ]
    return gathered(x, grid)


def unravel_index(indices: TensorLike, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Return the index along each axis of an array of `shape`, for indices into the flattened array.

    Negative indices count from the end; those out of range become the first or the last.

    Example:
        >>> [int(each) for each in unravel_index(5, (2, 3))]
        [1, 2]
    """
    at, wanted = operand(indices), sizes(shape)
    total = int(np.prod(wanted))
    at = clip(where(logic.less(at, 0), at + total, at), 0, total - 1)
    found: list[Tensor] = []
    for n in wanted[::-1]:
        found.insert(0, elementwise.mod(at, n))
        at = elementwise.floor_divide(at, n)
    return tuple(found)
