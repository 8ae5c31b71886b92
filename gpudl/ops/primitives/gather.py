"""Gathering rows by index, for batches and embeddings."""

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
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import cast, minimum, where, zeros_like
from gpudl.ops.primitives.logic import greater_equal, less, logical_and
from gpudl.ops.primitives.shape import concatenate, reshape

__all__ = [
    "take_batch",
]


def _taken(x: Spec, indices: Spec) -> Spec:
    if x.ndim < 1 or indices.dtype.kind not in "iu":
        raise ShapeError("rows can be gathered only from an array with axes, by integer indices.")
    if indices.size and not x.shape[0]:
        raise ShapeError("rows cannot be gathered from an array without rows.")
    return x.with_shape((*indices.shape, *x.shape[1:]))


def _numbered(x: TensorLike, indices: TensorLike) -> tuple[Tensor, Tensor]:
    """Return the inputs of `take`, with indices that all kernels support; raise IndexError for a known wrong one."""
    x = operand(x)
    if isinstance(indices, int | list | tuple):
        indices = np.asarray(indices) if np.size(indices) else np.zeros(np.shape(indices), np.int64)
    known(indices, x.shape[0] if x.ndim else 0)
    return x, numbered(operand(indices, x))


def known(indices: object, rows: int) -> np.ndarray | np.generic | None:
    """Return indices whose values the host has; None for those on a device, and those of a step being recorded.

    Raises:
        IndexError: if one of them is out of range and there are any rows.
    """
    here = (indices.data if state.recorder is None else None) if isinstance(indices, Tensor) else indices
    if not isinstance(here, np.ndarray | np.generic):
        return None
    if here.size and here.dtype.kind in "iu" and rows:
        lowest, highest = int(here.min()), int(here.max())
        if lowest < -rows or highest >= rows:
            raise IndexError(
                f"index {highest if highest >= rows else lowest} is out of range for an axis of size {rows}: indices "
                f"go from {-rows} to {rows - 1}, negative ones count from the end."
            )
    return here


def numbered(numbers: Tensor) -> Tensor:
    """Return integers as int32 or int64, which all kernels support; those too large for int64 stay out of range."""
    if numbers.dtype == np.uint64:
        numbers = minimum(numbers, np.uint64(2**63 - 1))
    if numbers.dtype.kind in "iu" and numbers.dtype.name not in ("int32", "int64"):
        numbers = cast(numbers, dtype=np.int64 if numbers.dtype.name in ("uint32", "uint64") else np.int32)
    return numbers


def rows_at(xp: ModuleType, indices: Array, rows: int) -> Array:
    """Return indices counted from 0, with `rows` for those out of range."""
    at = indices.astype(np.int64)
    at = xp.where(at < 0, at + rows, at)
    return xp.where((at < 0) | (at >= rows), at.dtype.type(rows), at)


def _no_row(dtype: np.dtype) -> np.generic:
    row: np.generic = dtype.type(True) if dtype.kind == "b" else np.frombuffer(b"\xff" * dtype.itemsize, dtype)[0]
    return row


@op(_taken, flops=cost.free, reads=cost.chosen_read, prepare=_numbered)
def take(xp: ModuleType, out: Array, x: Array, indices: Array) -> None:
    """Return the rows x[indices] along the first axis; a negative index counts from the end.

    The row of an index out of range, where this is no error, has all bits set. It does not contribute to the gradient.
    """
    at = rows_at(xp, indices, x.shape[0])
    missing = at == x.shape[0]
    out[...] = x[xp.where(missing, at.dtype.type(0), at)]
    xp.copyto(out, _no_row(out.dtype), where=missing.reshape(missing.shape + (1,) * (x.ndim - 1)))


def _untaken(g: Spec, indices: Spec, *, rows: int) -> Spec:
    if g.shape[: indices.ndim] != indices.shape or indices.dtype.kind not in "iu":
        raise ShapeError(f"rows gathered by indices {indices.shape} cannot have a gradient of shape {g.shape}.")
    return g.with_shape((rows, *g.shape[indices.ndim :]))


@op(_untaken, flops=cost.per_input(1))
def take_grad(xp: ModuleType, out: Array, g: Array, indices: Array, *, rows: int) -> None:
    """Return the sum of the gradients of each row over the places where it was gathered: the adjoint of `take`.

    The terms are added one after another, so that the sum is reproducible: parallel additions would have no fixed
    order.
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


def _rows_of_sums(gg: Tensor, y: Tensor, g: Tensor, indices: Tensor, rows: int) -> Tensor:
    """Return the gradient of each row that was added, 0 for those out of range, which were not."""
    if not rows:
        return zeros_like(g)
    at = numbered(indices)
    inside = logical_and(greater_equal(at, -rows), less(at, rows))
    found = take(gg, where(inside, at, 0))
    return where(reshape(inside, (*inside.shape, *(1,) * (g.ndim - indices.ndim))), found, zeros_like(found))


take_grad.vjp(g=_rows_of_sums)


def _batch(source: Spec, order: Spec, start: Spec, *, count: int, dtype: DTypeLike) -> Spec:
    if source.ndim < 1 or order.ndim != 1 or order.dtype.kind not in "iu":
        raise ShapeError("a batch is gathered from an array with axes, by a vector of integers.")
    if start != Spec((), np.dtype(np.int64)):
        raise ShapeError(f"the start of a batch must be one int64, got {start.dtype} of shape {start.shape}.")
    if count and not (source.shape[0] and order.size):
        raise ShapeError(
            f"{count} rows cannot be gathered from an array of {source.shape[0]} in an order of {order.size}."
        )
    return Spec((count, *source.shape[1:]), np.dtype(dtype))


@op(_batch, flops=cost.free, reads=cost.chosen_read)
def take_batch(
    xp: ModuleType, out: Array, source: Array, order: Array, start: Array, *, count: int, dtype: DTypeLike
) -> None:
    """Return source[order[start : start + count]] cast to `dtype`; past the end of either, the last row is repeated.

    `start` is an array on the device, so that a replay reads its current value.
    """
    if count:
        numbers = order[xp.clip(xp.arange(count) + start, 0, order.size - 1)]
        out[...] = source[xp.clip(numbers, 0, source.shape[0] - 1)]
