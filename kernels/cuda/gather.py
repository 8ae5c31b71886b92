"""Gathering rows of a table by index, for batches and embeddings, by the kernels of `gather.cu`."""

from __future__ import annotations

from math import prod

import numpy as np

from ..registry import accelerates
from .launch import Argument, Array, Kernel, contiguous, function, index, launch, real, width

_CHUNKS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long", 16: "uint4"}
_FROM = {
    "bool": "unsigned char",
    "uint8": "unsigned char",
    "int32": "int",
    "int64": "long long",
    "float16": "__half",
    "float32": "float",
    "float64": "double",
}
_ORDER = {"int32": "int", "int64": "long long"}


def supports_rows(out: Array, source: Array, order: Array) -> bool:
    """Return whether `gather_rows` supports these arrays: C-contiguous, of supported dtypes, and the kernel compiles.

    Args:
        out: (M, ...), of the dtype of `source`, or of a floating-point dtype.
        source: (N, ...) with N at least 1; bool, uint8, int32, int64, float16, float32 or float64 where the dtype of
            `out` differs.
        order: (L,) with L at least 1, int32 or int64; None for consecutive rows.
    """
    rows = order is None or (len(order.shape) == 1 and order.shape[0] > 0)
    return rows and len(out.shape) > 0 and _fits("gather_rows", out, source, order, out.shape[:1])


def _fits(name: str, out: Array, table: Array, order: Array, taken: tuple[int, ...]) -> bool:
    given = (out, table) if order is None else (out, table, order)
    return (
        len(table.shape) > 0
        and table.shape[0] > 0
        and out.shape == (*taken, *table.shape[1:])
        and (order is None or order.dtype.name in _ORDER)
        and _converts(table.dtype, out)
        and contiguous(*given)
        and _kernel(name, out, table, order, 1) is not None
    )


def _converts(dtype: np.dtype, out: Array) -> bool:
    if dtype == out.dtype:
        return dtype.kind in "biu" or real(out) is not None
    return dtype.isnative and dtype.name in _FROM and real(out) is not None


def gather_rows(out: Array, source: Array, order: Array, start: Array) -> None:
    """Copy rows, cast to the dtype of `out`: out[i] = source[order[start + i]]; check `supports_rows` first.

    Args:
        out: (M, ...).
        source: (N, ...).
        order: (L,); None means 0, 1, 2, ...
        start: (), int64, read by the kernel, so that a captured graph sees its current value.

    A position outside `order`, or an index outside `source`, reads the nearest row.
    """
    if order is None:
        _copy("gather_range", out, source, None, (start,))
    else:
        _copy("gather_rows", out, source, order, (order, start), np.int64(order.size))


def _copy(name: str, out: Array, table: Array, order: Array, given: tuple[Argument, ...], *more: np.generic) -> None:
    row = prod(table.shape[1:])
    at_once = width((out, table), row)
    kernel = _kernel(name, out, table, order, at_once)
    if kernel is None:
        raise RuntimeError(f"{name} of gather.cu does not compile here; check `supports` first.")
    number, total = index(out)[1], out.size // at_once
    launch(kernel, total, (out, table, *given, number(total), number(row // at_once), np.int64(table.shape[0]), *more))


def _kernel(name: str, out: Array, table: Array, order: Array, at_once: int) -> Kernel | None:
    types: dict[str, str | int]
    if out.dtype == table.dtype:  # without a cast, chunks of bytes are moved
        chunk = _CHUNKS[at_once * out.dtype.itemsize]
        types = {"GPUDL_REAL": "FLOAT32", "GPUDL_FROM": chunk, "GPUDL_TO": chunk}
    else:
        types = {"GPUDL_REAL": real(out) or "", "GPUDL_FROM": _FROM[table.dtype.name], "GPUDL_TO": "Real"}
        types["GPUDL_WIDTH"] = at_once
    numbers = {"GPUDL_INDEX": index(out)[0], "GPUDL_ORDER": "int" if order is None else _ORDER[order.dtype.name]}
    return function("gather.cu", name, **types, **numbers)


def _supports_batch(out: Array, source: Array, order: Array, start: Array, **static: object) -> bool:
    return bool(start.dtype == np.int64) and start.shape == () and supports_rows(out, source, order)


@accelerates("take_batch", device="cuda", supports=_supports_batch)
def take_batch(out: Array, source: Array, order: Array, start: Array, *, count: int, dtype: np.dtype) -> None:
    """Copy the rows order[start], order[start + 1], ... of `source`, cast as by `gather_rows`."""
    gather_rows(out, source, order, start)


def _supports(out: Array, x: Array, indices: Array) -> bool:
    return bool(out.dtype == x.dtype) and _fits("take_rows", out, x, indices, indices.shape)


@accelerates("take", device="cuda", supports=_supports)
def take(out: Array, x: Array, indices: Array) -> None:
    """Copy rows: x (N, ...), indices (...) -> out (..., ...).

    A negative index counts from the end. A row for an index out of range has all bits set, or is True.
    """
    _copy("take_rows", out, x, indices, (indices,), np.int32(1 if x.dtype.kind == "b" else 255))
