"""Layers that change how bright images are, and their contrast."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from gpudl import ops
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.image.base import (
    BoxOptions,
    Drawn,
    Factor,
    ImageLayer,
    ImageOptions,
    Range,
    clipped,
    per_image,
    rescaled,
    some,
    uniform,
)
from gpudl.random import SeedGenerator

__all__ = [
    "AutoContrast",
    "RandomBrightness",
    "RandomContrast",
    "RandomInvert",
    "RandomPosterization",
    "Solarization",
]

_BYTES = (0, 255)


class RandomBrightness(ImageLayer):
    """In training, make images brighter or darker.

    Args:
        factor: the largest change as a fraction of the range of values, or the smallest and the largest; a number f
            means (-f, f).
        value_range: the smallest and the largest possible value; results are limited to them.
        seed: an integer for reproducible changes.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [-1, 1], or a value_range that is none.

    Example:
        >>> gpudl.layers.RandomBrightness((0.2, 0.2))(np.full((1, 1, 1), 100, np.uint8)).numpy().ravel()
        array([151.], dtype=float32)
    """

    def __init__(
        self, factor: Factor, value_range: Range = _BYTES, seed: int | None = None, **options: Unpack[ImageOptions]
    ) -> None:
        super().__init__(**options)
        self.factor = self._factor("factor", factor, -1.0, 1.0)
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        low, high = self.value_range
        return {"rgb_delta": uniform(keys, (shape[0], 1, 1, 1), self.factor) * (high - low)}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return clipped(x + drawn["rgb_delta"], self.value_range)


class RandomContrast(ImageLayer):
    """In training, multiply the distance of pixels from the mean of their channel by 1 + f.

    Args:
        factor: the largest f, from 0 to 1, or the pair (a, b), for an f from -a to b.
        value_range: the smallest and the largest possible value; results are limited to them.
        seed: an integer for reproducible changes.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], or a value_range that is none.

    Example:
        >>> y = gpudl.layers.RandomContrast((0.0, 0.0))(np.array([[[50.0], [100.0]]]))
        >>> y.numpy().ravel()
        array([ 50., 100.], dtype=float32)
    """

    def __init__(
        self, factor: Factor, value_range: Range = _BYTES, seed: int | None = None, **options: Unpack[ImageOptions]
    ) -> None:
        super().__init__(**options)
        self.factor = self._factor("factor", factor)
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        limits = 1.0 - self.factor[0], 1.0 + self.factor[1]
        return {"contrast_factor": uniform(keys, (shape[0], 1, 1, 1), limits)}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        return clipped((x - mean) * drawn["contrast_factor"] + mean, self.value_range)


class RandomInvert(ImageLayer):
    """In training, replace some of the images by their negatives.

    Args:
        factor: the probability of each image, from 0 to 1, or the smallest and the largest.
        value_range: the smallest and the largest possible value.
        seed: an integer for reproducible choices.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], or a value_range that is none.

    Example:
        >>> gpudl.layers.RandomInvert((1.0, 1.0))(np.array([[[10.0], [255.0]]])).numpy().ravel()
        array([245.,   0.], dtype=float32)
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        value_range: Range = _BYTES,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.factor = self._factor("factor", factor)
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        return {"apply_inversion": some(keys, shape[0], self.factor)}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return ops.where(per_image(drawn["apply_inversion"]), self.value_range[1] - x, x)


class RandomPosterization(ImageLayer):
    """In training, keep only the highest bits of the values of pixels.

    Args:
        factor: the number of bits, from 1 to 8: one more than the largest number that is drawn, or the smallest
            number and that; if both are the same it is that number.
        value_range: the smallest and the largest possible value.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible numbers.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [1, 8], or a value_range that is none.

    Example:
        >>> gpudl.layers.RandomPosterization((2, 2))(np.array([[[10.0], [200.0]]])).numpy().ravel()
        array([  0., 192.], dtype=float32)
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Range = _BYTES,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.factor = self._factor("factor", factor, 1, 8)
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        low, high = map(float, self.factor)
        bits = uniform(keys, (shape[0],), (low, max(high, low + 1.0)))  # cut off to whole numbers below `high`
        return {"shift_factor": 8 - ops.cast(bits, np.uint8)}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        shift = per_image(drawn["shift_factor"])
        values = ops.cast(rescaled(x, self.value_range, _BYTES), np.uint8)
        kept = ops.left_shift(ops.right_shift(values, shift), shift)
        return rescaled(ops.cast(kept, x.dtype), _BYTES, self.value_range)


class Solarization(ImageLayer):
    """In training, replace values of pixels above a threshold by their negatives.

    Args:
        addition_factor: the largest number that is added to values before, as a fraction of their range; a number f
            means (0, f).
        threshold_factor: the largest threshold, as a fraction of the range; a number f means (0, f).
        value_range: the smallest and the largest possible value.
        seed: an integer for reproducible numbers.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], or a value_range that is none.

    Example:
        >>> gpudl.layers.Solarization(threshold_factor=0.0)(np.array([[[10.0], [200.0]]])).numpy().ravel()
        array([245.,  55.], dtype=float32)
    """

    def __init__(
        self,
        addition_factor: Factor = 0.0,
        threshold_factor: Factor = 0.0,
        value_range: Range = _BYTES,
        seed: int | None = None,
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(**options)
        self.addition_factor = self._factor("addition_factor", addition_factor)
        self.threshold_factor = self._factor("threshold_factor", threshold_factor)
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        factors = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {name: uniform(keys, (shape[0], 1, 1, 1), (a, 255.0 * b)) for name, (a, b) in factors.items()}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        y = clipped(rescaled(x, self.value_range, _BYTES) + drawn["additions"], _BYTES)
        return rescaled(ops.where(y < drawn["thresholds"], y, 255.0 - y), _BYTES, self.value_range)


class AutoContrast(ImageLayer):
    """Stretch the values of each channel of each image to the whole range; where all are the same they stay.

    Args:
        value_range: the smallest and the largest possible value.
        **options: those of `Layer`.

    Raises:
        ValueError: a value_range that is none.

    Example:
        >>> gpudl.layers.AutoContrast()(np.array([[[10.0], [20.0], [30.0]]])).numpy().ravel()
        array([  0. , 127.5, 255. ], dtype=float32)
    """

    _always = True

    def __init__(self, value_range: Range = _BYTES, **options: Unpack[ImageOptions]) -> None:
        super().__init__(**options)
        self._ranged(value_range)

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        values = rescaled(x, self.value_range, _BYTES)
        low, high = (reduce(values, axis=(1, 2), keepdims=True) for reduce in (ops.min, ops.max))
        scale = 255.0 / ops.where(high > low, high - low, 1.0)
        stretched = rescaled(clipped((values - low) * scale, _BYTES), _BYTES, self.value_range)
        return ops.where(high > low, stretched, x)
