"""Layers that embed integers in a vector space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from gpudl import constraints, initializers, ops, regularizers
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor
from gpudl.layers._low_rank import LowRank
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.masks import Masks
from gpudl.layers.base.options import Common, LowRankOptions
from gpudl.ops.primitives.matmul import matmul
from gpudl.registry import Identifier
from gpudl.utils.checks import positive

__all__ = [
    "Embedding",
    "ReversibleEmbedding",
]


class EmbeddingOptions(Common, LowRankOptions, total=False):
    """The arguments of `Layer`, those of an update of low rank, and an old one of `Embedding`."""

    activity_regularizer: Identifier
    input_length: int | None


class Embedding(LowRank, options=EmbeddingOptions):
    """Map each of `input_dim` integers, such as the indices of words, to a trainable vector.

    Inputs (batch, ...) become (batch, ..., output_dim). They should be in 0 <= x < input_dim. As in `ops.take`, a
    negative one counts from the end, down to -input_dim. One out of range is an IndexError if the host has its value;
    in a recorded step, such as those of `fit` and `predict`, and on a GPU its vector is NaN, and so is the loss.

    Args:
        input_dim: number of integers, the largest one + 1.
        output_dim: size of a vector.
        embeddings_initializer: initial values of the vectors, (input_dim, output_dim).
        embeddings_regularizer: penalty of the vectors.
        embeddings_constraint: projection of the vectors after each update.
        mask_zero: whether 0 is padding: the mask of the outputs is false for it, so that layers that support masks,
            losses and metrics ignore it. The indices of words then begin with 1.
        weights: the initial vectors, in a list of one array.
        lora_rank: the rank of a trainable update of the vectors, which are frozen then; see `enable_lora`.
        lora_alpha: the update is multiplied by lora_alpha / lora_rank; by default the rank.
        **options: those of `Layer`, and ``input_length``, which old programs give and which does nothing.

    Raises:
        ValueError: `input_dim` or `output_dim` is no positive integer, or `weights` of another shape.

    Example:
        >>> layer = gpudl.layers.Embedding(1000, 64)
        >>> layer(np.array([[4, 20, 7], [1, 0, 0]])).shape, layer.embeddings.shape
        ((2, 3, 64), (1000, 64))
        >>> gpudl.layers.Embedding(1000, 64, mask_zero=True)(np.array([[4, 20, 0]])).mask.numpy()
        array([[ True,  True, False]])
    """

    _obsolete = ("input_length", "weights")
    _adapted = "embeddings"

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier = None,
        embeddings_constraint: Identifier = None,
        mask_zero: bool = False,
        weights: Sequence[ArrayLike] | np.ndarray | None = None,
        **options: Unpack[EmbeddingOptions],
    ) -> None:
        if options.pop("input_length", None) is not None:
            warn_user("Embedding: input_length does nothing any more. Leave it out.")
        super().__init__(**options)
        self.input_dim = positive("Embedding", input_dim=input_dim)
        self.output_dim = positive("Embedding", output_dim=output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = bool(mask_zero)
        self.supports_masking = self.mask_zero
        if weights is not None:
            self.build((None,))
            self.set_weights([weights] if isinstance(weights, np.ndarray) else weights)

    def build(self, input_shape: Shape | None = None) -> None:
        """Create the vectors."""
        self.embeddings = self._add("embeddings", (self.input_dim, self.output_dim))
        self._add_update()

    def _typed(self, tensor: Tensor) -> Tensor:
        """Return a tensor unchanged: floats keep their dtype, for a shorter one cannot count as far."""
        return tensor

    def compute_mask(self, inputs: Tensor, previous_mask: Masks = None) -> Masks:
        """Return which of the integers are not 0, if `mask_zero` is set."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def call(self, x: Tensor) -> Tensor:
        """Return the vectors of integers (batch, ...); floats are truncated to integers."""
        numbers = ops.cast(x, dtype=np.dtype(np.int32)) if is_floating(x.dtype) or x.dtype.kind == "b" else x
        vectors = ops.take(self.embeddings, numbers, axis=0)
        if self.lora_enabled:
            return self._updated(vectors, ops.take(self._factors[0], numbers, axis=0))
        return vectors


class ReversibleEmbedding(Embedding):
    """An `Embedding` that also maps vectors back, to a logit for each of the integers.

    Args:
        input_dim: number of integers, the largest one + 1.
        output_dim: size of a vector.
        tie_weights: whether the projection back to integers has the same vectors; else it has weights of its own.
        embeddings_initializer: initial values of the vectors, (input_dim, output_dim).
        embeddings_regularizer: penalty of the vectors.
        embeddings_constraint: projection of the vectors after each update.
        mask_zero: whether 0 is padding, as for `Embedding`.
        reverse_dtype: the dtype of the projection back to integers; by default that of computation.
        logit_soft_cap: logits become cap * tanh(logits / cap).
        **options: those of `Layer`, and ``lora_rank`` and ``lora_alpha`` of `Embedding`.

    Raises:
        ValueError: a size that is no positive integer, or a cap that is not positive.

    Example:
        >>> layer = gpudl.layers.ReversibleEmbedding(1000, 64)
        >>> vectors = layer(np.array([[4, 20, 7]]))
        >>> vectors.shape, layer(vectors, reverse=True).shape
        ((1, 3, 64), (1, 3, 1000))
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier = None,
        embeddings_constraint: Identifier = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **options: Unpack[EmbeddingOptions],
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **options,
        )
        if logit_soft_cap is not None and not logit_soft_cap > 0:
            raise ValueError(f"ReversibleEmbedding: logit_soft_cap must be positive, got {logit_soft_cap!r}.")
        self.tie_weights = bool(tie_weights)
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: Shape | None = None) -> None:
        """Create the vectors."""
        super().build(input_shape)
        self.reverse_embeddings = (
            None
            if self.tie_weights
            else self.add_weight(
                (self.output_dim, self.input_dim), self.embeddings_initializer, name="reverse_embeddings"
            )
        )

    def compute_mask(self, inputs: Tensor, previous_mask: Masks = None) -> Masks:
        """Return which of the integers are not 0, if `mask_zero` is set; that of vectors is theirs."""
        return previous_mask if is_floating(inputs.dtype) else super().compute_mask(inputs, previous_mask)

    def call(self, x: Tensor, reverse: bool = False) -> Tensor:
        """Return the vectors of integers (batch, ...), or the logits of vectors (batch, ..., output_dim)."""
        if not reverse:
            return super().call(x)
        if x.shape[-1] != self.output_dim:
            raise ShapeError(f"vectors have {self.output_dim} elements along the last axis, got shape {x.shape}.")
        dtype = np.dtype(self.reverse_dtype or self.compute_dtype)
        weights = self._whole() if self.reverse_embeddings is None else self.reverse_embeddings
        rows = ops.reshape(ops.cast(x, dtype=dtype), (-1, self.output_dim))
        product = matmul(rows, ops.cast(weights, dtype=dtype), transpose_b=self.reverse_embeddings is None)
        logits = ops.reshape(product, (*x.shape[:-1], self.input_dim))
        cap = self.logit_soft_cap
        return logits if cap is None else ops.tanh(logits / cap) * cap
