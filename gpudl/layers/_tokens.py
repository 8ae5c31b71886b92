"""The axes of attention: projected tokens as (batch, tokens, heads, width), and masks as the kernel takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor

_APART = 2  # axes of heads and of width


class Tokens:
    """Projected queries and keys, (batch, ..., heads, width), whose attention is along some of the axes between.

    Args:
        query: the queries.
        key: the keys.
        axes: the axes of the tokens; each place along the other axes has an attention of its own.
    """

    def __init__(self, query: Tensor, key: Tensor, axes: Sequence[int]) -> None:
        self._axes = tuple(axes)
        self._free = tuple(a for a in range(1, query.ndim - _APART) if a not in self._axes)
        self._simple = not self._free and len(self._axes) == 1
        self._queries, self._keys = ([x.shape[a] for a in self._axes] for x in (query, key))
        self._apart = [query.shape[a] for a in (0, *self._free)]  # the attentions
        self._heads = query.shape[-_APART]
        self._order = (0, *self._free, *self._axes, query.ndim - 2, query.ndim - 1)

    def flat(self, x: Tensor) -> Tensor:
        """Return projected tokens as (attentions, tokens, heads, width)."""
        if self._simple:
            return x
        tokens = prod(x.shape[a] for a in self._axes)
        return ops.reshape(ops.transpose(x, self._order), (prod(self._apart), tokens, *x.shape[-_APART:]))

    def restored(self, y: Tensor) -> Tensor:
        """Return results of attention with the axes of the queries."""
        if self._simple:
            return y
        apart = ops.reshape(y, (*self._apart, *self._queries, *y.shape[-_APART:]))
        return ops.transpose(apart, tuple(int(a) for a in np.argsort(self._order)))

    def scores(self, weights: Tensor) -> Tensor:
        """Return weights (attentions, heads, queries, keys) with all axes: (batch, ..., heads, queries, keys)."""
        return weights if self._simple else ops.reshape(weights, self._full())

    def _full(self) -> tuple[int, ...]:
        return (*self._apart, self._heads, *self._queries, *self._keys)

    def of_queries(self, mask: Tensor) -> Tensor:
        """Return a mask of queries (batch, queries) with the axes of scores."""
        return self._placed("query_mask", mask, self._queries, [1] * len(self._keys))

    def of_keys(self, name: str, mask: Tensor) -> Tensor:
        """Return a mask of keys (batch, keys) with the axes of scores."""
        return self._placed(name, mask, [1] * len(self._queries), self._keys)

    def _placed(self, name: str, mask: Tensor, queries: list[int], keys: list[int]) -> Tensor:
        tokens = self._queries if name == "query_mask" else self._keys
        if tuple(mask.shape) != (self._apart[0], *tokens):
            raise ShapeError(
                f"{name} of shape {mask.shape} must have a value for each token, {(self._apart[0], *tokens)}."
            )
        return ops.reshape(mask, (len(mask), *(1 for _ in self._apart), *queries, *keys))

    def of_pairs(self, mask: Tensor) -> Tensor:
        """Return an attention mask, (batch, queries, keys) with or without heads, with the axes of scores."""
        full, pairs = self._full(), 2 * len(self._axes)
        lead = mask.shape[:-pairs]
        shape = (*lead, *(1 for _ in range(len(full) - mask.ndim)), *mask.shape[-pairs:])
        if (
            mask.ndim < pairs
            or len(shape) != len(full)
            or any(n not in (1, m) for n, m in zip(shape, full, strict=True))
        ):
            raise ShapeError(
                f"attention_mask of shape {mask.shape} does not fit scores of shape {full}, (batch, heads, queries, "
                "keys): give a mask (batch, queries, keys), or one with heads, with sizes of 1 where one is for all."
            )
        return ops.reshape(mask, shape)

    def near(self, window: int | None, causal: bool) -> Tensor | None:
        """Return which keys are less than `window` places away, and not after the query if `causal`."""
        if window is None and not causal:
            return None
        if len(self._axes) > 1:
            raise ShapeError(
                f"a causal mask or a sliding window needs tokens along one axis, but attention is along {self._axes}. "
                "Give an attention_mask instead."
            )
        before = np.arange(self._queries[0])[:, None] - np.arange(self._keys[0])
        seen = np.abs(before) < window if window is not None else np.ones(before.shape, np.bool_)
        shape = (*(1 for _ in self._apart), 1, *before.shape)
        return as_tensor((seen & (before >= 0) if causal else seen).reshape(shape))

    def together(self, masks: Iterable[Tensor | None]) -> Tensor | None:
        """Return what all masks show, as (attentions, heads, queries, keys) or with sizes of 1; None for everything."""
        found: Tensor | None = None
        for mask in masks:
            if mask is not None:
                shown = mask if mask.dtype.kind == "b" else ops.cast(mask, "bool")
                found = shown if found is None else ops.logical_and(found, shown)
        if found is None or self._simple:
            return found
        pairs = 2 * len(self._axes)
        whole = ops.broadcast_to(found, (*self._apart, found.shape[-pairs - 1], *self._queries, *self._keys))
        heads, queries, keys = found.shape[-pairs - 1], prod(self._queries), prod(self._keys)
        return ops.reshape(whole, (prod(self._apart), heads, queries, keys))
