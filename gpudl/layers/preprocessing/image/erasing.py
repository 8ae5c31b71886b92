"""Layers that replace parts of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np

from gpudl import ops, random
from gpudl.engine.convert import convert_to_tensor
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.image.base import (
    BoxOptions,
    Drawn,
    Factor,
    ImageLayer,
    Range,
    clipped,
    per_image,
    some,
    uniform,
)
from gpudl.random import SeedGenerator

__all__ = [
    "RandomErasing",
]


def boxes(keys: SeedGenerator, shape: Shape, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pixels are inside boxes at random places, (N, H, W, 1), and the shares of their areas, (N, 1, 1, 1).

    Args:
        keys: the generator that draws.
        shape: of the images: (N, H, W, C).
        height: of the boxes, as fractions of the height of the images: (N,).
        width: of the boxes, as fractions of the width: (N,).
    """

    def line(axis: int, part: Tensor) -> Tensor:
        size = shape[axis]
        length = part * size
        start = per_image(uniform(keys, (shape[0],)) * (size - length))
        at = convert_to_tensor(np.arange(size, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(4)]))
        return ops.logical_and(at >= start, at < start + per_image(length))

    return ops.logical_and(line(2, width), line(1, height)), per_image(height * width)


class RandomErasing(ImageLayer):
    """In training, erase a part of some of the images.

    Source: Zhong et al., "Random erasing data augmentation", 2020.

    Args:
        factor: the probability of each image, from 0 to 1, or the smallest and the largest.
        scale: the largest share of the area that is erased, or the smallest and the largest.
        fill_value: the value of erased pixels, or one for each of three channels; None means noise.
        value_range: the smallest and the largest possible value.
        seed: an integer for reproducible choices.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor or a scale outside of [0, 1], another fill_value, or a value_range that is none.

    Example:
        >>> erased = gpudl.layers.RandomErasing((1.0, 1.0), (0.25, 0.25), 0.0, seed=1)(np.ones((8, 8, 1)))
        >>> float((erased.numpy() == 0).mean())
        0.25
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Range = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.factor, self.scale = self._factor("factor", factor), self._factor("scale", scale)
        if fill_value is not None and (np.shape(fill_value) not in ((), (3,)) or isinstance(fill_value, str)):
            raise ValueError(f"RandomErasing: fill_value must be a number, or three of them, got {fill_value!r}.")
        self.fill_value = fill_value
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        sides = ops.sqrt(uniform(keys, (shape[0], 2), self.scale))
        masks, _ = boxes(keys, shape, sides[:, 1], sides[:, 0])
        drawn = {"batch_masks": masks, "apply_erasing": some(keys, shape[0], self.factor)}
        if self.fill_value is None:
            noise = random.normal(shape, dtype="float32", seed=keys) * self.value_range[1]
            drawn["fill_value"] = clipped(noise, self.value_range)
        return drawn

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        fill = drawn.get("fill_value")
        if fill is None:
            fill = ops.zeros_like(x) + np.clip(np.asarray(self.fill_value, np.float32), *self.value_range)
        return ops.where(per_image(drawn["apply_erasing"]) & drawn["batch_masks"], ops.cast_like(fill, x), x)
