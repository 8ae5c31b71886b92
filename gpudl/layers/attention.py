"""Attention of one head, over a list of queries, values and keys."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from gpudl import ops, random
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.symbol import open_shape
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.masks import Masks
from gpudl.layers.base.options import LayerOptions
from gpudl.ops.primitives.matmul import matmul
from gpudl.random import SeedGenerator
from gpudl.registry import Config
from gpudl.utils.checks import require_number

__all__ = [
    "AdditiveAttention",
    "Attention",
]

_AXES = 3


class AdditiveOptions(LayerOptions, total=False):
    """The arguments of `Layer`, and the seed of dropout."""

    seed: int | None


_INPUTS = "[query, value] or [query, value, key], each of (batch, tokens, features)"


class Attention(Layer):
    """Return the values, weighted for each query by the softmax of its scores with the keys (Luong).

    It is called on ``[query, value]`` or ``[query, value, key]``: (batch, queries, width), (batch, keys, value width),
    (batch, keys, width); the keys are the values where there are none. A mask is a list of two, of queries and of
    values. The result, (batch, queries, value width), is 0 for masked queries.

    Args:
        use_scale: whether to multiply the scores by a weight.
        score_mode: ``"dot"`` for query . key, ``"concat"`` for a weight times sum(tanh(query + key)).
        dropout: the fraction of the weights of the values that is dropped in training.
        seed: an integer for reproducible dropout.
        **options: those of `Layer`.

    Raises:
        ValueError: a `score_mode` of another name, a rate outside of [0, 1], or inputs that are no such list.

    Example:
        >>> query, value = np.ones((2, 3, 4)), np.ones((2, 5, 4))
        >>> gpudl.layers.Attention()([query, value]).shape
        (2, 3, 4)
        >>> y, scores = gpudl.layers.Attention()([query, value], return_attention_scores=True)
        >>> scores.shape
        (2, 3, 5)
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        who = type(self).__name__
        if score_mode not in ("dot", "concat"):
            raise ValueError(f"{who}: score_mode must be 'dot' or 'concat', got {score_mode!r}.")
        require_number(who, 0, 1, dropout=dropout)
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        self.scale: Variable | None = None
        if dropout > 0:
            self.seed_generator = SeedGenerator(seed)

    def build(self, input_shape: object) -> None:
        """Create the weights of the scores, if there are any."""
        self._checked(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def call(
        self,
        inputs: list[Tensor],
        mask: list[Tensor | None] | None = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return the weighted values, and, if `return_attention_scores`, the weights (batch, queries, keys).

        Args:
            inputs: queries, values and maybe keys.
            mask: which queries and which values count, (batch, queries) and (batch, keys); each may be None.
            training: whether weights are dropped.
            return_attention_scores: whether to return the weights, too.
            use_causal_mask: whether a query sees the keys up to its own place only.
        """
        self._checked([open_shape(x.shape) if isinstance(x, Tensor) else x for x in inputs])
        query, value, key = inputs[0], inputs[1], inputs[-1] if len(inputs) == _AXES else inputs[1]
        of_queries, of_values = self._checked_masks(mask, query, value)
        seen = None if of_values is None else ops.reshape(of_values, (len(of_values), 1, -1))
        drops = training and self.dropout > 0
        if self.score_mode == "dot" and not drops and not return_attention_scores:
            scaled = query if self.scale is None else query * self.scale
            q, k, v = (ops.expand_dims(x, 2) for x in (scaled, key, value))
            shown = None if seen is None else ops.expand_dims(seen, 1)
            y = ops.squeeze(ops.dot_product_attention(q, k, v, mask=shown, scale=1.0, is_causal=use_causal_mask), 2)
            return y if of_queries is None else _only(of_queries, y)
        scores = self._scores(query, key)
        if use_causal_mask:
            before = as_tensor(np.tri(*scores.shape[1:], dtype=np.bool_))
            seen = before if seen is None else ops.logical_and(before, seen)
        hidden = -65504.0 if scores.dtype.itemsize == 2 else -1e9
        weights = ops.softmax(scores if seen is None else ops.where(seen, scores, hidden))
        if drops:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        y = ops.matmul(weights, value)
        y = y if of_queries is None else _only(of_queries, y)
        return (y, weights) if return_attention_scores else y

    def compute_mask(self, inputs: object, previous_mask: Masks = None) -> Masks:
        """Return the mask of the queries."""
        return previous_mask[0] if isinstance(previous_mask, list | tuple) else None

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Return the scores (batch, queries, keys)."""
        if self.score_mode == "dot":
            scores = matmul(query, key, transpose_b=True)
            return scores if self.scale is None else scores * self.scale
        pairs = ops.expand_dims(query, 2) + ops.expand_dims(key, 1)
        pairs = pairs if self.scale is None else pairs * self.scale
        return self.concat_score_weight * ops.sum(ops.tanh(pairs), axis=-1)

    def _checked(self, shapes: object) -> int | None:
        """Return the number of features, of shapes of queries, values and maybe keys; raise if they do not fit."""
        if not isinstance(shapes, list | tuple) or not all(isinstance(shape, list | tuple) for shape in shapes):
            raise ValueError(f"{self._who()} is called on a list, {_INPUTS}, got {shapes!r}.")
        if len(shapes) not in (2, _AXES) or any(len(shape) != _AXES for shape in shapes):
            raise ValueError(f"{self._who()} is called on a list, {_INPUTS}, got shapes {shapes}.")
        query, value, key = shapes[0], shapes[1], shapes[-1]
        if {query[-1], key[-1]} - {None} != {query[-1]} - {None} or (
            None not in (a := (value[1], key[1])) and a[0] != a[1]
        ):
            raise ShapeError(
                f"query {query} and key {key} need as many features, key and value {value} as many tokens. Project "
                "them by Dense layers first."
            )
        features: int | None = query[-1]
        return features

    def _checked_masks(self, mask: object, query: Tensor, value: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if mask is None:
            return None, None
        if not isinstance(mask, list | tuple) or len(mask) not in (2, _AXES):
            raise ValueError(f"{self._who()}: a mask is a list, [query_mask, value_mask], got {mask!r}.")
        for name, one, of in zip(("query", "value"), mask, (query, value), strict=False):
            if one is not None and tuple(one.shape) != of.shape[:2]:
                raise ShapeError(
                    f"the mask of shape {tuple(one.shape)} does not fit {name} of shape {of.shape}: it has a value for "
                    f"each token, {of.shape[:2]}. Give such a mask, or None."
                )
        return mask[0], mask[1]


def _only(mask: Tensor, y: Tensor) -> Tensor:
    """Return y with 0 for the queries that do not count."""
    return y * ops.cast_like(ops.expand_dims(mask, -1), y)


class AdditiveAttention(Attention):
    """Return the values, weighted for each query by the softmax of sum(scale * tanh(query + key)) (Bahdanau).

    Inputs, masks and results are those of `Attention`.

    Args:
        use_scale: whether the sum is weighted, by a weight for each feature.
        dropout: the fraction of the weights of the values that is dropped in training.
        **options: those of `Layer`, and ``seed``, an integer for reproducible dropout.

    Example:
        >>> gpudl.layers.AdditiveAttention()([np.ones((2, 3, 4)), np.ones((2, 5, 4))]).shape
        (2, 3, 4)
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **options: Unpack[AdditiveOptions]) -> None:
        super().__init__(use_scale=use_scale, score_mode="concat", dropout=dropout, **options)

    def build(self, input_shape: object) -> None:
        """Create the weights of the features, if there are any."""
        features = self._checked(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((features,), "glorot_uniform", name="scale")

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        pairs = ops.tanh(ops.expand_dims(query, 2) + ops.expand_dims(key, 1))
        return ops.sum(pairs if self.scale is None else pairs * self.scale, axis=-1)

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        return {name: value for name, value in super().get_config().items() if name != "score_mode"}
