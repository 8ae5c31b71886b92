"""Layers that equalize histograms."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.image.base import (
    BoxOptions,
    Drawn,
    ImageLayer,
    Range,
    clipped,
    rescaled,
)
from gpudl.utils.checks import positive

__all__ = [
    "Equalization",
]

_BYTES = (0, 255)


class Equalization(ImageLayer):
    """In training, change values so that all are about equally frequent, in each channel of the whole batch.

    Args:
        value_range: the smallest and the largest possible value.
        bins: how many values are told apart.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a value_range that is none, or no bins.

    Example:
        >>> gpudl.layers.Equalization()(np.array([[[10.0], [20.0], [21.0]]])).numpy().ravel()
        array([  0., 128., 255.], dtype=float32)
    """

    def __init__(
        self,
        value_range: Range = _BYTES,
        bins: int = 256,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.bins = positive("Equalization", bins=bins)
        self._ranged(value_range)

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        values = rescaled(x, self.value_range, _BYTES)
        channels = [self._equalized(values[..., at : at + 1]) for at in range(x.shape[-1])]
        return rescaled(ops.concatenate(channels, axis=-1), _BYTES, self.value_range)

    def _equalized(self, x: Tensor) -> Tensor:
        last = self.bins - 1
        numbers = ops.cast(ops.clip(x * last / 255.0, 0.0, float(last)), np.int32)
        flat = ops.reshape(numbers, -1)
        counts = ops.segment_sum(ops.cast(ops.ones_like(flat), np.float32), flat, self.bins)
        # How many values are at most so large: whole numbers, which float32 adds exactly up to 2**24.
        below = ops.matmul(np.tril(np.ones((self.bins, self.bins), np.float32)), counts)
        least = ops.min(ops.where(below > 0, below, np.inf))
        rest = below[-1] - least
        table = ops.image.resizing.rounded((below - least) * 255.0 / ops.where(rest == 0, 1.0, rest))
        several = ops.sum(ops.cast(counts > 0, np.float32)) > 1
        return ops.where(several, ops.cast_like(ops.take(clipped(table, _BYTES), numbers, axis=0), x), x)
