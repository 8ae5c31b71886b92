"""What layers with several heads of attention share: projections, masks, the results of the heads."""

from __future__ import annotations

from math import sqrt
from string import ascii_lowercase

import numpy as np

from gpudl import ops, random
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.layers._tokens import Tokens
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.einsum_dense import EinsumDense
from gpudl.ops.primitives.attention import heads_first
from gpudl.ops.primitives.matmul import matmul
from gpudl.random import SeedGenerator
from gpudl.registry import Config, serialize
from gpudl.utils.checks import positive, require_number

_COMMON = (
    *("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"),
    *("kernel_constraint", "bias_constraint"),
)
_LEAST = 3  # axes of inputs
Result = Tensor | tuple[Tensor, Tensor]


class Heads(Layer):
    """The base of attention of several heads.

    A subclass says by `_shape_of_heads` how many heads there are and how wide they are, and by `_outputs_of` what
    the results are projected to.
    """

    supports_masking = True
    use_gate: bool
    seed: int | None
    _hides_queries = False  # whether queries that do not count see nothing

    def _begin(self, dropout: float, use_bias: bool, sliding_window: int | None, flash_attention: bool | None) -> None:
        who = type(self).__name__
        require_number(who, 0, 1, dropout=dropout)
        if flash_attention and dropout > 0:
            raise ValueError(
                f"{who}: flash_attention=True knows no dropout, got dropout={dropout}. Set one of them off."
            )
        self.dropout, self.use_bias = dropout, use_bias
        self.sliding_window = None if sliding_window is None else positive(who, sliding_window=sliding_window)
        self._penalty, self.activity_regularizer = self.activity_regularizer, None  # of the projections
        if dropout > 0:
            self.seed_generator = SeedGenerator(self.seed)

    def _shape_of_heads(self) -> tuple[int, int, int, int]:
        """Return the numbers of heads of queries and of keys, and the widths of a key and of a value."""
        raise NotImplementedError

    def _outputs_of(self, features: int | None) -> tuple[int | None, ...]:
        return (features,)

    def build(self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None) -> None:
        """Create the projections for queries, values and keys of these shapes; by default each has that before it."""
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        self._check_shapes(query_shape, value_shape, key_shape)
        heads, key_heads, width, value_width = self._shape_of_heads()
        self.query_dense = self._projection("query", query_shape, (heads, width))
        self.key_dense = self._projection("key", key_shape, (key_heads, width))
        self.gate_dense = self._projection("gate", query_shape, (heads, value_width)) if self.use_gate else None
        self.value_dense = self._projection("value", value_shape, (key_heads, value_width))
        given = (*query_shape[:-1], heads, value_width)
        self.output_dense = self._projection("attention_output", given, self._outputs_of(query_shape[-1]), summed=2)

    def _projection(self, name: str, shape: Shape, made: tuple[int | None, ...], summed: int = 1) -> EinsumDense:
        """Return a built layer from the last `summed` axes of inputs to `made`."""
        before, free = ascii_lowercase[: len(shape)], ascii_lowercase[len(shape) : len(shape) + len(made)]
        kept = before[:-summed]
        dense = EinsumDense(
            f"{before},{before[-summed:]}{free}->{kept}{free}",
            (*(None for _ in kept[1:]), *made),
            bias_axes=free if self.use_bias else None,
            name=name,
            dtype=self.dtype_policy,
            activity_regularizer=self._penalty,
            **{option: getattr(self, option) for option in _COMMON},
        )
        dense.supports_masking = True  # tokens keep their places
        dense.build(shape)
        return dense

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Result:
        """Return the attention of queries to keys.

        Args:
            query: (batch, queries, features).
            value: (batch, keys, features).
            key: (batch, keys, features); the values by default.
            query_mask: which queries count, (batch, queries).
            value_mask: which values count, (batch, keys).
            key_mask: which keys count, (batch, keys).
            attention_mask: which keys each query sees, (batch, queries, keys) or (batch, heads, queries, keys), with
                sizes of 1 where one is for all.
            return_attention_scores: whether to return the weights of the values, too, (batch, heads, queries, keys).
            training: whether weights are dropped.
            use_causal_mask: whether a query sees the keys up to its own place only.
        """
        key = value if key is None else key
        self._check_shapes(query.shape, value.shape, key.shape)
        q, k, v = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        tokens = Tokens(q, k, self._axes_of(query.ndim))
        plain = self.dropout == 0 and not return_attention_scores
        causal = use_causal_mask and plain and self.sliding_window is None  # else it is a mask like others
        hidden = None if query_mask is None else tokens.of_queries(query_mask)
        seen = tokens.together(
            [
                tokens.near(self.sliding_window, use_causal_mask and not causal),
                hidden if self._hides_queries else None,
                None if value_mask is None else tokens.of_keys("value_mask", value_mask),
                None if key_mask is None else tokens.of_keys("key_mask", key_mask),
                None if attention_mask is None else tokens.of_pairs(attention_mask),
            ]
        )
        q, k, v = (tokens.flat(x) for x in (q, k, v))
        weights: Tensor | None = None
        if plain or (not training and not return_attention_scores):
            y = ops.dot_product_attention(q, k, v, mask=seen, is_causal=causal)
            if not plain and seen is not None:  # as in training, nothing for a query that sees nothing
                some = ops.transpose(ops.any(seen, axis=-1), (0, 2, 1))
                y = ops.where(ops.expand_dims(some, -1), y, 0.0)
        else:
            y, weights = self._weighted(q, k, v, seen, training and self.dropout > 0)
        y = tokens.restored(y)
        if self.gate_dense is not None:
            y = y * ops.sigmoid(self.gate_dense(query))
        y = self.output_dense(y)
        return (y, tokens.scores(weights)) if return_attention_scores and weights is not None else y

    def _weighted(self, q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, drops: bool) -> tuple[Tensor, Tensor]:
        """Return the results (batch, queries, heads, width) and the weights (batch, heads, queries, keys)."""
        q, k, v = (heads_first(x, q.shape[2]) for x in (q, k, v))
        scores = matmul(q * (1 / sqrt(q.shape[-1])), k, transpose_b=True)
        if seen is not None:
            scores = ops.where(seen, scores, -3e4 if scores.dtype == np.float16 else -1e9)
        weights = ops.softmax(scores)
        if seen is not None:
            weights = ops.where(seen, weights, 0.0)
        dropped = random.dropout(weights, self.dropout, seed=self.seed_generator) if drops else weights
        return ops.transpose(ops.matmul(dropped, v), (0, 2, 1, 3)), weights

    def _axes_of(self, ndim: int) -> tuple[int, ...]:
        """Return the axes of the tokens of inputs with `ndim` axes."""
        return tuple(range(1, ndim - 1))

    def _check_shapes(self, query: Shape, value: Shape, key: Shape) -> None:
        """Raise ShapeError unless shapes of queries, values and keys fit each other."""
        axes = self._axes_of(len(query))
        alike = [0, *(a for a in range(1, len(query) - 1) if a not in axes)]
        fits = len(query) == len(value) == len(key) >= _LEAST and value[:-1] == key[:-1]
        if not fits or any(None not in (query[a], key[a]) and query[a] != key[a] for a in alike):
            raise ShapeError(
                f"query {tuple(query)}, value {tuple(value)} and key {tuple(key)} must be (batch, tokens, features) "
                "with one batch size, and values and keys with as many tokens. Reshape them, or leave key out."
            )

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        config = super().get_config()
        return {**config, "activity_regularizer": serialize(self._penalty)}
