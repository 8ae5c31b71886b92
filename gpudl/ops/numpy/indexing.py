"""Indexing by `x[key]`: by integers and slices, by arrays of integers, and by masks, as in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from types import EllipsisType
from typing import Any, TypeGuard

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import Shape, ShapeError, broadcast
from gpudl.engine.state import TracingError, state, user_line
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.primitives.elementwise import cast, where
from gpudl.ops.primitives.gather import known, numbered, rows_at, take
from gpudl.ops.primitives.shape import reshape, take_slice, transpose

__all__ = [
    "getitem",
    "nonzero",
]

Part = None | slice | int | np.ndarray | Tensor
_ALL = slice(None)
_INT64 = np.dtype(np.int64)


def getitem(x: Tensor, key: object) -> Tensor:
    """Return a copy of x[key], with NumPy's rules.

    Args:
        x: a tensor.
        key: integers, slices, None, ``...``, arrays or tensors of integers or of bools; several in a tuple. Negative
            integers count from the end.

    Raises:
        IndexError: an integer of an array is out of range and the host has its values; see `ops.take`.
        ShapeError: a key does not fit the shape of x.
        TracingError: a mask is computed inside a recorded step, whose results have fixed shapes.
        TypeError: a key of anything else.

    Example:
        >>> x = gpudl.convert_to_tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> x[:, -1].numpy(), x[x > 1.5].numpy()
        (array([2., 4.], dtype=float32), array([2., 3., 4.], dtype=float32))
    """
    parts = [_part(p) for p in (key if isinstance(key, tuple) else (key,))]
    if any(map(_is_array, parts)):
        return gathered(x, _spelled_out(x.shape, parts))
    return take_slice(x, key=_frozen(parts))


def nonzero(x: TensorLike) -> tuple[Tensor, ...]:
    """Return the indices of the elements that are not 0: an int32 tensor per axis, whose length depends on the values.

    Raises:
        TracingError: inside a recorded step, whose results have fixed shapes.

    Example:
        >>> nonzero([[0.0, 2.0], [3.0, 0.0]])[1].numpy()
        array([1, 0], dtype=int32)
    """
    return tuple(operand(axis.astype(np.int32)) for axis in _positions(operand(x)))


def _positions(mask: Tensor | np.ndarray) -> tuple[np.ndarray, ...]:
    if isinstance(mask, np.ndarray):
        return np.nonzero(mask)
    if state.recorder is not None or mask.data is None:
        raise TracingError(
            f"{user_line()}: how many elements a mask selects depends on its values, but the results of a recorded "
            "step have fixed shapes. Use gpudl.ops.where(mask, x, 0), or compile(run_eagerly=True)."
        )
    return np.nonzero(mask.numpy())


def _is_array(part: object) -> TypeGuard[Tensor | np.ndarray]:
    return isinstance(part, Tensor | np.ndarray)


def _is_mask(part: object) -> TypeGuard[Tensor | np.ndarray]:
    return _is_array(part) and part.dtype == np.bool_


def _part(part: object) -> Part | EllipsisType:
    """Return one part of a key with Python integers, and lists as arrays; raise TypeError for an unsupported part."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, int | np.integer) and not isinstance(part, bool):
        return int(part)
    array = part if isinstance(part, Tensor) else np.asarray(part)
    return array if _is_mask(array) and array.ndim else whole(part)


def whole(indices: object) -> Tensor | np.ndarray:
    """Return integers as a tensor or an array; raise TypeError for anything else."""
    array = indices if isinstance(indices, Tensor) else np.asarray(indices)
    if array.size == 0 and not _is_array(indices):
        array = np.empty(array.shape, _INT64)  # an empty list
    if array.dtype.kind not in "iu":
        raise TypeError(
            "a tensor is indexed by integers, slices, None, ... and arrays of integers or bools, got "
            f"{type(indices).__name__} of {array.dtype}."
        )
    return array


def _spelled_out(shape: Shape, parts: list[Part | EllipsisType]) -> list[Part]:
    """Return one part per axis of `shape`, with None between them, and with masks replaced by positions."""
    used = sum(p.ndim if _is_mask(p) else int(p is not None and p is not Ellipsis) for p in parts)
    if used > len(shape):
        raise ShapeError(f"{used} axes were indexed, but the tensor has {len(shape)}: {shape}.")
    spelled: list[Part] = []
    for part in parts if any(p is Ellipsis for p in parts) else [*parts, Ellipsis]:
        at = sum(p is not None for p in spelled)
        if part is Ellipsis:
            spelled += [_ALL] * (len(shape) - used)
        elif _is_mask(part):
            if part.shape != shape[at : at + part.ndim]:
                raise ShapeError(f"a mask of shape {part.shape} does not fit axes of {shape[at : at + part.ndim]}.")
            spelled += _positions(part)
        else:
            spelled.append(part)
    return spelled


def _frozen(parts: Sequence[Part | EllipsisType]) -> tuple[object, ...]:
    return tuple((p.start, p.stop, p.step) if isinstance(p, slice) else p for p in parts)


def gathered(x: Tensor, parts: Sequence[Part]) -> Tensor:
    """Return x[parts], with one part per axis, some of which are arrays of integers.

    The axes that arrays index are merged into one, from which rows are gathered. As in NumPy, the axes of the arrays
    come first in the result, unless all arrays are adjacent.
    """
    chosen = [at for at, part in enumerate(parts) if not (part is None or isinstance(part, slice))]
    if any(part != _ALL for at, part in enumerate(parts) if at not in chosen):
        x = take_slice(x, key=_frozen([_ALL if at in chosen else part for at, part in enumerate(parts)]))
    others = [at for at in range(x.ndim) if at not in chosen]
    rows = _rows([parts[at] for at in chosen], tuple(x.shape[at] for at in chosen))
    rest = tuple(x.shape[at] for at in others)
    x = _ordered(x, [*chosen, *others])
    if len(chosen) > 1:
        x = reshape(x, (-1 if 0 not in rest else prod(x.shape[: len(chosen)]), *rest))
    x = take(x, rows)
    before = chosen[0] if chosen[-1] - chosen[0] < len(chosen) else 0
    lead, moved = rows.ndim, rows.ndim + before
    return _ordered(x, [*range(lead, moved), *range(lead), *range(moved, x.ndim)])


def _ordered(x: Tensor, axes: list[int]) -> Tensor:
    return x if axes == sorted(axes) else transpose(x, axes=tuple(axes))


def _rows(indices: list[Any], shape: Shape) -> Any:
    """Return flat indices into an array of `shape`, from indices along each of its axes."""
    if len(indices) == 1:
        return indices[0]
    indices = [i if _is_array(i) else np.asarray(i) for i in indices]
    broadcast(*(i.shape for i in indices))
    rows: Any = 0
    outside: Tensor | bool = False
    for i, n in zip(indices, shape, strict=True):
        here = known(i, n)
        if here is not None:
            at = rows_at(np, here, n)
        else:
            wide = cast(numbered(i), dtype=_INT64)
            at = where(wide < 0, wide + n, wide)
            outside = (at < 0) | (at >= n) | outside
        rows = rows * n + at
    # An index that is out of range along its axis must not reach another row: it becomes out of range of the whole.
    return where(outside, prod(shape), rows) if isinstance(outside, Tensor) else rows
