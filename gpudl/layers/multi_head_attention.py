"""Attention of several heads, with projections of queries, keys, values and results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl.engine.spec import ShapeError
from gpudl.layers._heads import Heads
from gpudl.layers.base.options import HeadOptions
from gpudl.registry import Config
from gpudl.utils.checks import positive, sizes

__all__ = [
    "GroupQueryAttention",
    "GroupedQueryAttention",
    "MultiHeadAttention",
]


class MultiHeadAttention(Heads, options=HeadOptions):
    """Project queries, keys and values to several heads, attend with each, and project what they return together.

    Inputs (batch, queries, features) become outputs of the same shape. Without dropout and returned scores, attention
    is computed block by block, and the matrix of scores is never in memory.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Args:
        num_heads: the number of heads.
        key_dim: the width of a query and a key of one head.
        value_dim: the width of a value of one head; that of a key by default.
        dropout: the fraction of the weights of the values that is dropped in training.
        use_bias: whether the projections have biases.
        output_shape: the sizes of the last axes of the outputs; the features of the queries by default.
        attention_axes: the axes of the tokens; all between batch and features by default.
        sliding_window: a query sees the keys that are less than so many places away; None for all.
        flash_attention: accepted; the kernel is chosen by the arguments. True refuses dropout.
        kernel_initializer: initial values of the kernels of the projections.
        bias_initializer: initial values of their biases.
        kernel_regularizer: penalty of the kernels.
        bias_regularizer: penalty of the biases.
        activity_regularizer: penalty of the outputs of each projection.
        kernel_constraint: projection of the kernels after each update.
        bias_constraint: projection of the biases after each update.
        use_gate: whether a sigmoid of a further projection of the queries multiplies the result of each head.
        seed: an integer for reproducible dropout.
        **options: those of `Layer`.

    Raises:
        ValueError: a size that is not a positive integer, or a rate outside of [0, 1].
        ShapeError: shapes or masks that do not fit each other.

    Example:
        >>> x = np.ones((2, 5, 16))
        >>> layer = gpudl.layers.MultiHeadAttention(num_heads=4, key_dim=8)
        >>> layer(x, x, use_causal_mask=True).shape
        (2, 5, 16)
        >>> layer(x, x, return_attention_scores=True)[1].shape
        (2, 4, 5, 5)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        **options: Unpack[HeadOptions],
    ) -> None:
        super().__init__(**options)
        who = type(self).__name__
        self.num_heads = positive(who, num_heads=num_heads)
        self.key_dim = positive(who, key_dim=key_dim)
        self.value_dim = self.key_dim if value_dim is None else positive(who, value_dim=value_dim)
        self._begin(dropout, use_bias, sliding_window, flash_attention)
        made = (output_shape,) if isinstance(output_shape, int) else output_shape
        self._made = None if made is None else sizes(who, "output_shape", made)
        several = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        self.attention_axes = None if several is None else tuple(several)

    def _axes_of(self, ndim: int) -> tuple[int, ...]:
        if self.attention_axes is None:
            return super()._axes_of(ndim)
        axes = tuple(a % ndim if -ndim <= a < ndim else a for a in self.attention_axes)
        if not set(axes) <= set(range(1, ndim - 1)) or len(set(axes)) < len(axes) or not axes:
            raise ShapeError(
                f"attention_axes {self.attention_axes} must be different axes between batch and features of inputs "
                f"with {ndim} axes: some of {list(range(1, ndim - 1))}."
            )
        return axes

    def _shape_of_heads(self) -> tuple[int, int, int, int]:
        return self.num_heads, self.num_heads, self.key_dim, self.value_dim

    def _outputs_of(self, features: int | None) -> tuple[int | None, ...]:
        return (features,) if self._made is None else self._made

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "output_shape": self._made}


class GroupedQueryAttention(Heads, options=HeadOptions):
    """Attention in which several heads of queries share one head of keys and values.

    Source: Ainslie et al., "GQA: training generalized multi-query transformer models", EMNLP 2023.

    Args:
        head_dim: the width of a query, a key and a value of one head.
        num_query_heads: the number of heads of queries.
        num_key_value_heads: the number of heads of keys and values, which divides that of queries.
        dropout: the fraction of the weights of the values that is dropped in training.
        use_bias: whether the projections have biases.
        sliding_window: a query sees the keys that are less than so many places away; None for all.
        flash_attention: accepted; the kernel is chosen by the arguments. True refuses dropout.
        kernel_initializer: initial values of the kernels of the projections.
        bias_initializer: initial values of their biases.
        kernel_regularizer: penalty of the kernels.
        bias_regularizer: penalty of the biases.
        activity_regularizer: penalty of the outputs of each projection.
        kernel_constraint: projection of the kernels after each update.
        bias_constraint: projection of the biases after each update.
        use_gate: whether a sigmoid of a further projection of the queries multiplies the result of each head.
        seed: an integer for reproducible dropout.
        **options: those of `Layer`.

    Raises:
        ValueError: a size that is not a positive integer, heads that do not divide, or a rate outside of [0, 1].
        ShapeError: shapes or masks that do not fit each other.

    Example:
        >>> x = np.ones((2, 5, 16))
        >>> layer = gpudl.layers.GroupQueryAttention(head_dim=8, num_query_heads=4, num_key_value_heads=2)
        >>> layer(x, x).shape, layer.key_dense.kernel.shape
        ((2, 5, 16), (16, 2, 8))
    """

    _hides_queries = True

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        **options: Unpack[HeadOptions],
    ) -> None:
        super().__init__(**options)
        who = type(self).__name__
        self.head_dim = positive(who, head_dim=head_dim)
        self.num_query_heads = positive(who, num_query_heads=num_query_heads)
        self.num_key_value_heads = positive(who, num_key_value_heads=num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"{who}: num_query_heads={num_query_heads} cannot share num_key_value_heads={num_key_value_heads} "
                "equally. Choose numbers of which the second divides the first."
            )
        self._begin(dropout, use_bias, sliding_window, flash_attention)

    def _shape_of_heads(self) -> tuple[int, int, int, int]:
        return self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim


GroupQueryAttention = GroupedQueryAttention
