"""Shapes: reshape without copying, transpose, slices, concatenation, rows by index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from operator import index
from typing import Any

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.op import op
from gpudl.engine.spec import Shape, ShapeError, Spec, added_in, promote
from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor, operand
from gpudl.ops.elementwise import cast, minimum

Key = tuple[Any, ...]


def _reshaped(x: Spec, *, shape: Shape) -> Spec:
    known = prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known and x.size % known == 0:
        shape = tuple(x.size // known if n == -1 else n for n in shape)
    if -1 in shape or prod(shape) != x.size:
        raise ShapeError(f"{x.size} elements of shape {x.shape} cannot take the shape {shape}.")
    return x.with_shape(shape)


@op(_reshaped, alias=True)
def reshape_view(xp: Any, x: Array, *, shape: Shape) -> Array:
    """Return a view of the C-contiguous x in another shape; one size may be -1."""
    return x.reshape(shape)


reshape_view.vjp(x=lambda g, y, x, shape: reshape(g, x.shape))


def reshape(x: Any, newshape: int | Sequence[int]) -> Tensor:
    """Return x in another shape, as a view where its memory allows; one size may be -1.

    Raises:
        ShapeError: a shape with another number of elements.

    Example:
        >>> reshape([[1.0, 2.0], [3.0, 4.0]], -1).shape
        (4,)
    """
    x = operand(x)
    flags = getattr(x.data, "flags", None)  # what is computed in a recorded step is contiguous
    if flags is not None and not flags.c_contiguous:
        x = transpose(x, axes=tuple(range(x.ndim)))  # the plain copy
    return reshape_view(x, shape=sizes(newshape))


def sizes(shape: int | Sequence[int]) -> Shape:
    """Return a shape, or one size, as a tuple of Python integers."""
    return tuple(map(index, shape)) if isinstance(shape, Iterable) else (index(shape),)


def _transposed(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"axes must name each of {x.ndim} axes once, got {axes}.")
    return x.with_shape(tuple(x.shape[a] for a in axes))


@op(_transposed, flops=cost.free)
def transpose(xp: Any, out: Array, x: Array, *, axes: tuple[int, ...]) -> None:
    """Return x with its axes in another order, copied."""
    out[...] = x.transpose(axes)


def _same(x: Spec) -> Spec:
    return x


@op(_same, flops=cost.free)
def copy(xp: Any, out: Array, x: Array) -> None:
    """Return a copy of x: what a variable holds now, for later."""
    out[...] = x


copy.vjp(x=lambda g, y, x: g)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(a) for a in np.argsort(axes))


transpose.vjp(x=lambda g, y, x, axes: transpose(g, axes=_inverse(axes)))


def _slices(key: Key) -> Any:
    return tuple(slice(*k) if isinstance(k, tuple) else k for k in key)


def _sliced(x: Spec, *, key: Key) -> Spec:
    try:
        return x.with_shape(np.broadcast_to(np.empty((), bool), x.shape)[_slices(key)].shape)
    except IndexError as error:
        raise ShapeError(f"{error}.") from None


@op(_sliced, flops=cost.free)
def take_slice(xp: Any, out: Array, x: Array, *, key: Key) -> None:
    """Return x[key], copied; a slice stands in `key` as a tuple (start, stop, step)."""
    out[...] = x[_slices(key)]


def _unsliced(g: Spec, *, key: Key, shape: Shape) -> Spec:
    x = g.with_shape(shape)
    if _sliced(x, key=key).shape != g.shape:
        raise ShapeError(f"the gradient of that part of {shape} cannot have shape {g.shape}.")
    return x


@op(_unsliced, flops=cost.free)
def slice_grad(xp: Any, out: Array, g: Array, *, key: Key, shape: Shape) -> None:
    """Return zeros of `shape` with g at [key]: the adjoint of slicing."""
    out[...] = 0
    out[_slices(key)] = g


take_slice.vjp(x=lambda g, y, x, key: slice_grad(g, key=key, shape=x.shape))
slice_grad.vjp(g=lambda gg, y, g, key, shape: take_slice(gg, key=key))


def _taken(x: Spec, indices: Spec) -> Spec:
    if x.ndim < 1 or indices.dtype.kind not in "iu":
        raise ShapeError("rows are taken from an array with axes by integer indices.")
    if indices.size and not x.shape[0]:
        raise ShapeError("no row can be taken from an array that has none.")
    return x.with_shape((*indices.shape, *x.shape[1:]))


def _numbered(x: Any, indices: Any) -> tuple[Any, Any]:
    """Return the inputs of `take` with indices that all kernels know; raises IndexError for one seen to be wrong."""
    x = operand(x)
    if isinstance(indices, int | list | tuple):
        indices = np.asarray(indices) if np.size(indices) else np.zeros(np.shape(indices), np.int64)
    known(indices, x.shape[0] if x.ndim else 0)
    return x, numbered(operand(indices, x))


def known(indices: Any, rows: int) -> Any:
    """Return indices that the host has; None for those on a device, and those of a step being recorded.

    Raises:
        IndexError: one of them is out of range, where there are any rows.
    """
    here = (indices.data if state.recorder is None else None) if isinstance(indices, Tensor) else indices
    if not isinstance(here, np.ndarray | np.generic):
        return None
    if here.size and here.dtype.kind in "iu" and rows:
        lowest, highest = int(here.min()), int(here.max())
        if lowest < -rows or highest >= rows:
            raise IndexError(
                f"index {highest if highest >= rows else lowest} is out of range for an axis of size {rows}: indices "
                f"go from {-rows} to {rows - 1}, those below 0 count from the end."
            )
    return here


def numbered(numbers: Tensor) -> Tensor:
    """Return integers as int32 or int64, which all kernels know; what an int64 cannot hold stays out of range."""
    if numbers.dtype == np.uint64:
        numbers = minimum(numbers, np.uint64(2**63 - 1))
    if numbers.dtype.kind in "iu" and numbers.dtype.name not in ("int32", "int64"):
        numbers = cast(numbers, dtype=np.int64 if numbers.dtype.name in ("uint32", "uint64") else np.int32)
    return numbers


def rows_at(xp: Any, indices: Array, rows: int) -> Array:
    """Return the numbers of rows from 0 on that indices stand for, and `rows` for those out of range."""
    at = indices.astype(np.int64)
    at = xp.where(at < 0, at + rows, at)
    return xp.where((at < 0) | (at >= rows), at.dtype.type(rows), at)


def _no_row(dtype: np.dtype) -> Any:
    return dtype.type(True) if dtype.kind == "b" else np.frombuffer(b"\xff" * dtype.itemsize, dtype)[0]


@op(_taken, flops=cost.free, prepare=_numbered)
def take(xp: Any, out: Array, x: Array, indices: Array) -> None:
    """Return the rows x[indices] along the first axis; an index below 0 counts from the end, whatever its dtype.

    The row of an index out of range that is not known to be wrong has all bits set. It has no part in the gradient.
    """
    at = rows_at(xp, indices, x.shape[0])
    missing = at == x.shape[0]
    out[...] = x[xp.where(missing, at.dtype.type(0), at)]
    xp.copyto(out, _no_row(out.dtype), where=missing.reshape(missing.shape + (1,) * (x.ndim - 1)))


def _untaken(g: Spec, indices: Spec, *, rows: int) -> Spec:
    if g.shape[: indices.ndim] != indices.shape or indices.dtype.kind not in "iu":
        raise ShapeError(f"rows taken by indices {indices.shape} cannot have a gradient of shape {g.shape}.")
    return g.with_shape((rows, *g.shape[indices.ndim :]))


@op(_untaken, flops=cost.per_input(1))
def take_grad(xp: Any, out: Array, g: Array, indices: Array, *, rows: int) -> None:
    """Return the sum of the rows of g that were taken from each row: the adjoint of `take`.

    One after another, so that a sum is the same at every run: a device that adds many at once would not keep the order.
    """
    numbers = rows_at(xp, indices, rows).reshape(-1)
    terms = g.reshape(numbers.size, *out.shape[1:])
    sums = xp.zeros((rows + 1, *out.shape[1:]), added_in(out.dtype))
    for i in range(numbers.size):
        sums[numbers[i : i + 1]] += terms[i : i + 1]
    out[...] = sums[:rows]


take.vjp(x=lambda g, y, x, indices: take_grad(g, indices, rows=x.shape[0]))
take_grad.vjp(g=lambda gg, y, g, indices, rows: take(gg, indices))


def _batch(source: Spec, order: Spec, start: Spec, *, count: int, dtype: Any) -> Spec:
    if source.ndim < 1 or order.ndim != 1 or order.dtype.kind not in "iu":
        raise ShapeError("a batch is taken from an array with axes, by an axis of integers.")
    if start != Spec((), np.dtype(np.int64)):
        raise ShapeError(f"where a batch starts is one int64, got {start.dtype} of shape {start.shape}.")
    if count and not (source.shape[0] and order.size):
        raise ShapeError(
            f"{count} rows cannot be taken from an array of {source.shape[0]} in an order of {order.size}."
        )
    return Spec((count, *source.shape[1:]), np.dtype(dtype))


@op(_batch, flops=cost.free)
def take_batch(xp: Any, out: Array, source: Array, order: Array, start: Array, *, count: int, dtype: Any) -> None:
    """Return source[order[start : start + count]] as `dtype`; past the end of either the last row is taken again.

    `start` is read where the arrays lie, so that a replay goes on from wherever it has been set.
    """
    if count:
        numbers = order[xp.clip(xp.arange(count) + start, 0, order.size - 1)]
        out[...] = source[xp.clip(numbers, 0, source.shape[0] - 1)]


def _concatenated(*xs: Spec, axis: int) -> Spec:
    first = xs[0]
    if not -first.ndim <= axis < first.ndim:
        raise ShapeError(f"axis {axis} is out of range for arrays with {first.ndim} axes.")
    at = axis % first.ndim
    rest = {(*x.shape[:at], *x.shape[at + 1 :]) for x in xs}
    if len(rest) != 1 or len({x.ndim for x in xs}) != 1:
        raise ShapeError(f"sizes may differ along axis {axis} only.")
    size = 0
    for x in xs:
        size += x.shape[at]
    return Spec((*first.shape[:at], size, *first.shape[at + 1 :]), promote(*(x.dtype for x in xs)))


@op(_concatenated, flops=cost.free)
def concatenate(xp: Any, out: Array, *xs: Array, axis: int) -> None:
    """Return the arrays joined along `axis`."""
    start = 0
    front = (slice(None),) * (axis % out.ndim)
    for x in xs:
        stop = start + x.shape[axis]
        out[(*front, slice(start, stop))] = x
        start = stop


def _part(i: int, g: Tensor, y: Tensor, *xs: Tensor, axis: int) -> Tensor:
    at = axis % xs[0].ndim
    start = 0
    for x in xs[:i]:
        start += x.shape[at]
    key = ((None, None, None),) * at + ((start, start + xs[i].shape[at], None),)
    result: Tensor = take_slice(g, key=key)
    return result


concatenate.vjp(xs=_part)


def _packed(*xs: Spec) -> Spec:
    if len({x.dtype for x in xs}) != 1:
        raise ShapeError("only arrays of one dtype can be packed into one buffer.")
    size = 0
    for x in xs:
        size += x.size
    return Spec((size,), xs[0].dtype)


@op(_packed, gathers=True, flops=cost.free)
def pack(xp: Any, out: Array, *xs: Array) -> None:
    """Return the elements of all the arrays, one after another, in one axis.

    In a plan the arrays are computed where `pack` would copy them, and no copy remains.
    """
    start = 0
    for x in xs:
        out[start : start + x.size] = x.reshape(-1)
        start += x.size
