"""One-hot and multi-hot rows, and counts, of integers that stand for categories."""

from __future__ import annotations

from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.layers.preprocessing.encoding import encoded
from gpudl.layers.preprocessing.encoding import output_mode as checked_mode
from gpudl.utils.checks import positive

__all__ = ["CategoryEncoding"]


class CategoryEncoding(Layer):
    """Encode integers from 0 to `num_tokens` - 1 as rows of that many columns; others count nowhere.

    Args:
        num_tokens: the number of categories.
        output_mode: ``"one_hot"`` for a row for each integer; ``"multi_hot"`` or ``"count"`` for a row for each
            sample, whose integers are along axis 1: which there are, or how often.
        sparse: not supported.
        **kwargs: those of `Layer`.

    Raises:
        ValueError: an argument that is not supported, or `count_weights` in another mode than ``"count"``.

    Example:
        >>> layer = gpudl.layers.CategoryEncoding(num_tokens=4, output_mode="multi_hot")
        >>> layer(np.array([[0, 1], [0, 0], [1, 2], [3, 1]])).numpy()
        array([[1., 1., 0., 0.],
               [1., 0., 0., 0.],
               [0., 1., 1., 0.],
               [0., 1., 0., 1.]], dtype=float32)
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if num_tokens is None:
            raise ValueError(
                f"{self._who()} needs num_tokens, the number of categories. If it is not known, use IntegerLookup."
            )
        self.num_tokens = positive("CategoryEncoding", num_tokens=num_tokens)
        self.output_mode = checked_mode(self._who(), output_mode, "one_hot", "multi_hot", "count", sparse=sparse)

    def _typed(self, tensor: Tensor) -> Tensor:
        """Return a tensor unchanged: categories are integers, which floats of few bits cannot count."""
        return tensor

    def call(self, inputs: Tensor, count_weights: TensorLike | None = None) -> Tensor:
        """Return the rows of integers; `count_weights`, of their shape, are what each counts."""
        if count_weights is None:
            return encoded(inputs, self.output_mode, self.num_tokens, self.compute_dtype)
        if self.output_mode != "count":
            raise ValueError(f"{self._who()}: count_weights are for output_mode='count', got {self.output_mode!r}.")
        weights = ops.cast(count_weights, self.compute_dtype)
        return encoded(inputs, self.output_mode, self.num_tokens, self.compute_dtype, weights)
