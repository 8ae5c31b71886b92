"""Rows by number: the batches of a training, the vectors of an embedding."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import DTypeLike

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.convert import operand
from gpudl.engine.parts import Part, total
from gpudl.engine.spec import Shape, ShapeError, Spec, added_in
from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.declare import op
from gpudl.ops.elementwise import cast, minimum
from gpudl.ops.shape import concatenate, reshape

__all__ = [
    "take_batch",
]


def _taken(x: Spec, indices: Spec) -> Spec:
    if x.ndim < 1 or indices.dtype.kind not in "iu":
        raise ShapeError("rows are taken from an array with axes by integer indices.")
    if indices.size and not x.shape[0]:
        raise ShapeError("no row can be taken from an array that has none.")
    return x.with_shape((*indices.shape, *x.shape[1:]))


def _numbered(x: TensorLike, indices: TensorLike) -> tuple[Tensor, Tensor]:
    """Return the inputs of `take` with indices that all kernels know; raises IndexError for one seen to be wrong."""
    x = operand(x)
    if isinstance(indices, int | list | tuple):
        indices = np.asarray(indices) if np.size(indices) else np.zeros(np.shape(indices), np.int64)
    known(indices, x.shape[0] if x.ndim else 0)
    return x, numbered(operand(indices, x))


def known(indices: object, rows: int) -> np.ndarray | np.generic | None:
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


def rows_at(xp: ModuleType, indices: Array, rows: int) -> Array:
    """Return the numbers of rows from 0 on that indices stand for, and `rows` for those out of range."""
    at = indices.astype(np.int64)
    at = xp.where(at < 0, at + rows, at)
    return xp.where((at < 0) | (at >= rows), at.dtype.type(rows), at)


def _no_row(dtype: np.dtype) -> np.generic:
    row: np.generic = dtype.type(True) if dtype.kind == "b" else np.frombuffer(b"\xff" * dtype.itemsize, dtype)[0]
    return row


@op(_taken, flops=cost.free, prepare=_numbered)
def take(xp: ModuleType, out: Array, x: Array, indices: Array) -> None:
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
def take_grad(xp: ModuleType, out: Array, g: Array, indices: Array, *, rows: int) -> None:
    """Return the sum of the rows of g that were taken from each row: the adjoint of `take`.

    One after another, so that a sum is the same at every run: a device that adds many at once would not keep the order.
    """
    numbers = rows_at(xp, indices, rows).reshape(-1)
    terms = g.reshape(numbers.size, *out.shape[1:])
    sums = xp.zeros((rows + 1, *out.shape[1:]), added_in(out.dtype))
    for i in range(numbers.size):
        sums[numbers[i : i + 1]] += terms[i : i + 1]
    out[...] = sums[:rows]


def _rows_laid(parts: list[Part], shape: Shape, whole: Tensor | None) -> Tensor | None:
    g, indices = parts[0].g, parts[0].at
    if len(parts) > 1:
        g = concatenate(*(reshape(part.g, (part.at.size, *shape[1:])) for part in parts), axis=0)
        indices = concatenate(*(reshape(part.at, -1) for part in parts), axis=0)
    return total(whole, take_grad(g, indices, rows=shape[0]))


take.vjp(x=lambda g, y, x, indices: Part(g, indices, _rows_laid))
take_grad.vjp(g=lambda gg, y, g, indices, rows: take(gg, indices))


def _batch(source: Spec, order: Spec, start: Spec, *, count: int, dtype: DTypeLike) -> Spec:
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
def take_batch(
    xp: ModuleType, out: Array, source: Array, order: Array, start: Array, *, count: int, dtype: DTypeLike
) -> None:
    """Return source[order[start : start + count]] as `dtype`; past the end of either the last row is taken again.

    `start` is read where the arrays lie, so that a replay goes on from wherever it has been set.
    """
    if count:
        numbers = order[xp.clip(xp.arange(count) + start, 0, order.size - 1)]
        out[...] = source[xp.clip(numbers, 0, source.shape[0] - 1)]
