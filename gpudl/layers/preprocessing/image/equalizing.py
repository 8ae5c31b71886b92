"""Layers that equalize histograms."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

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
from gpudl.utils.checks import positive, require_number

__all__ = [
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
]

_BYTES = (0, 255)
_LEVELS = 256


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


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """In training, equalize the histograms of tiles of each image, limiting how much the contrast of a tile grows.

    A pixel gets the mean of what the four tiles around it make of its value, weighted by their nearness.

    Source: Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994.

    Args:
        value_range: the smallest and the largest possible value.
        clip_limit: how many times as frequent as the mean a value may count; 0 or less for no limit.
        tile_grid_size: the numbers of tiles along the height and the width.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a value_range that is none, a clip_limit that is no number, or no tiles.

    Example:
        >>> layer = gpudl.layers.ContrastLimitedAdaptiveHistogramEqualization(clip_limit=0, tile_grid_size=(1, 1))
        >>> layer(np.array([[[10.0], [20.0], [21.0]]])).numpy().ravel()
        array([ 85., 170., 255.], dtype=float32)
    """

    def __init__(
        self,
        value_range: Range = _BYTES,
        clip_limit: float = 4.0,
        tile_grid_size: tuple[int, int] | list[int] = (8, 8),
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        who = type(self).__name__
        require_number(who, clip_limit=clip_limit)
        if not isinstance(tile_grid_size, tuple | list) or len(tile_grid_size) != 2:
            raise ValueError(
                f"{who}: tile_grid_size must be two numbers of tiles, (8, 8) or so, got {tile_grid_size!r}."
            )
        self.clip_limit = clip_limit
        self.tile_grid_size = tuple(positive(who, tile_grid_size=number) for number in tile_grid_size)
        self._ranged(value_range)

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        batch, height, width, channels = x.shape
        rows, columns = self.tile_grid_size
        tall, wide = -(-height // rows), -(-width // columns)
        around = ((0, 0), (0, rows * tall - height), (0, columns * wide - width), (0, 0))
        levels = ops.cast(
            clipped(ops.pad(rescaled(x, self.value_range, _BYTES), around, "symmetric"), _BYTES), np.int32
        )
        tiles = ops.transpose(ops.reshape(levels, (batch, rows, tall, columns, wide, channels)), (0, 1, 3, 5, 2, 4))
        table = ops.reshape(self._tables(ops.reshape(tiles, (-1, tall * wide))), -1)
        image, channel = np.arange(batch).reshape(-1, 1, 1, 1), np.arange(channels)
        result = None
        for row, near_row in _neighbours(rows, tall):
            for column, near_column in _neighbours(columns, wide):
                tile = (image * rows + row.reshape(-1, 1, 1)) * columns + column.reshape(-1, 1)
                place = ((tile * channels + channel) * _LEVELS).astype(np.int32)
                near = near_row.reshape(-1, 1, 1) * near_column.reshape(-1, 1)
                part = ops.take(table, levels + place, axis=0) * near
                result = part if result is None else result + part
        assert result is not None
        return ops.cast_like(rescaled(result[:, :height, :width], _BYTES, self.value_range), x)

    def _tables(self, tiles: Tensor) -> Tensor:
        """Return what becomes of each value in each tile, (tiles, 256), for the values of tiles (tiles, pixels)."""
        count, pixels = tiles.shape
        places = ops.reshape(tiles + (np.arange(count, dtype=np.int32) * _LEVELS).reshape(-1, 1), -1)
        ones = np.ones(count * pixels, np.float32)
        counts = ops.reshape(ops.segment_sum(ones, places, count * _LEVELS), (count, _LEVELS))
        if self.clip_limit > 0:
            limited = ops.minimum(counts, float(np.float32(self.clip_limit * pixels / _LEVELS)))
            counts = limited + ops.sum(counts - limited, axis=-1, keepdims=True) / _LEVELS
        below = ops.cumsum(counts, axis=-1)
        least = below[:, :1]
        rest = pixels - least
        return clipped((below - least) * 255.0 / ops.where(rest == 0, 1.0, rest), _BYTES)


def _neighbours(tiles: int, size: int) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Return for each pixel along an axis the tiles before and after it, and how much each of the two counts."""
    place = ((np.arange(tiles * size) - size / 2) / size).astype(np.float32)
    before = np.floor(place)
    after = place - before
    both = ((before, 1 - after), (before + 1, after))
    return [(np.clip(tile, 0, tiles - 1).astype(np.intp), weight) for tile, weight in both]
