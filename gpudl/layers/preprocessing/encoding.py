"""Indices of categories as they are, as one-hot or multi-hot rows, or as counts."""

from __future__ import annotations

import numpy as np

from gpudl import ops
from gpudl.engine.symbol import OpenShape
from gpudl.engine.tensor import Tensor

_OLD = {"binary": "multi_hot", "tf-idf": "tf_idf"}


def output_mode(who: str, given: str, *allowed: str, sparse: bool = False) -> str:
    """Return the mode by its present name; raise ValueError if it is none of those that a layer has.

    Example:
        >>> output_mode("CategoryEncoding", "binary", "count", "multi_hot")
        'multi_hot'
    """
    found = _OLD.get(given, given)
    if found not in allowed:
        raise ValueError(f"{who}: output_mode must be one of {', '.join(map(repr, allowed))}, got {given!r}.")
    if sparse:
        raise ValueError(f"{who}: sparse=True is not supported: the result is a dense array. Leave it out.")
    return found


def encoded_shape(shape: OpenShape, mode: str, depth: int | None) -> OpenShape:
    """Return the shape that indices of `shape` have when they are encoded."""
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def encoded_on_host(indices: np.ndarray, mode: str, depth: int, dtype: str) -> np.ndarray:
    """Return indices encoded, with `depth` columns; an index that is out of range counts nowhere.

    Example:
        >>> encoded_on_host(np.array([[0, 2, 2]]), "count", 3, "int64")
        array([[1, 0, 2]])
    """
    if mode == "int":
        return indices.astype(dtype)
    shape = tuple(size or 0 for size in encoded_shape(indices.shape, mode, depth))
    rows = indices.reshape(-1, 1) if mode == "one_hot" else np.moveaxis(indices, min(indices.ndim - 1, 1), -1)
    rows = rows.reshape(int(np.prod(shape[:-1])), -1) if rows.size else rows.reshape(-1, 0)
    return rows_on_host(list(rows), mode, depth, dtype).reshape(shape)


def rows_on_host(rows: list[np.ndarray], mode: str, depth: int, dtype: str) -> np.ndarray:
    """Return one row of `depth` columns for the indices of each sample, which may differ in their number."""
    columns = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
    samples = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    known = (columns >= 0) & (columns < depth)
    places = samples[known] * depth + columns[known]
    counts = np.bincount(places, minlength=len(rows) * depth).reshape(len(rows), depth)
    return (counts if mode == "count" else np.minimum(counts, 1)).astype(dtype)


def encoded(indices: Tensor, mode: str, depth: int, dtype: str, weights: Tensor | None = None) -> Tensor:
    """Return indices encoded by ops, so that a step may do it; `weights` are what each counts."""
    if mode == "int":
        return ops.cast(indices, dtype)
    indices = ops.reshape(indices, (1,)) if indices.ndim == 0 else indices
    if mode == "one_hot":
        shrinks = indices.ndim > 1 and indices.shape[-1] == 1
        return ops.one_hot(ops.squeeze(indices, -1) if shrinks else indices, depth, dtype=dtype)
    rows = ops.one_hot(indices, depth, dtype=dtype if weights is None else str(weights.dtype))
    if weights is not None:
        rows = rows * ops.expand_dims(weights, -1)
    return (ops.max if mode == "multi_hot" else ops.sum)(rows, axis=min(indices.ndim - 1, 1))
