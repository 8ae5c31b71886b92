"""Layers that blur and sharpen images, and warp them, at random."""

from __future__ import annotations

from collections.abc import Sequence
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
    MovingLayer,
    Range,
    clipped,
    per_image,
    some,
    uniform,
)
from gpudl.layers.preprocessing.image.moved_boxes import Size
from gpudl.ops.image.elastic import displacements
from gpudl.ops.image.sampling import FILL_MODES, ORDERS, displaced, homography
from gpudl.ops.image.weights import along, band
from gpudl.random import SeedGenerator
from gpudl.utils.checks import require_number

__all__ = [
    "RandomElasticTransform",
    "RandomGaussianBlur",
    "RandomPerspective",
    "RandomSharpness",
]


class RandomGaussianBlur(ImageLayer):
    """In training, blur some of the images, all by the same Gaussian bell.

    Args:
        factor: the probability of each image, from 0 to 1, or the smallest and the largest.
        kernel_size: where the bell is cut off: an odd number of pixels, or one for the width and one for the height.
        sigma: the largest standard deviation in pixels, from 0 to 1, or the smallest and the largest.
        value_range: the smallest and the largest possible value; results are limited to them.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible choices.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor or a sigma outside of [0, 1], an even size, or a value_range that is none.

    Example:
        >>> y = gpudl.layers.RandomGaussianBlur((1.0, 1.0), sigma=(1.0, 1.0))(np.eye(3)[:, :, None])
        >>> y.numpy()[0, :, 0].round(3)
        array([0.279, 0.248, 0.075], dtype=float32)
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Factor = 1.0,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        who = "RandomGaussianBlur"
        self.factor = self._factor("factor", factor)
        self.sigma = self._factor("sigma", sigma)
        sizes = tuple(kernel_size) if isinstance(kernel_size, tuple | list) else (kernel_size, kernel_size)
        if len(sizes) != 2 or not all(isinstance(n, int) and n % 2 == 1 and n > 0 for n in sizes):
            raise ValueError(
                f"{who}: kernel_size must be an odd number of pixels, or two of them, got {kernel_size!r}."
            )
        self.kernel_size = sizes
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        chosen = some(keys, shape[0], self.factor)
        return {"should_apply_blur": chosen, "blur_factor": uniform(keys, (2,), self.sigma) + 1e-6}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        blurred = ops.image.gaussian_blur(x, self.kernel_size, drawn["blur_factor"], "channels_last")
        return clipped(ops.where(per_image(drawn["should_apply_blur"]), blurred, x), self.value_range)


class RandomSharpness(ImageLayer):
    """In training, make images smoother or sharper: a factor of 0.5 changes nothing.

    Args:
        factor: the largest factor, from 0 (smooth) to 1 (sharp), or the smallest and the largest.
        value_range: the smallest and the largest possible value; results are limited to them.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible changes.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], or a value_range that is none.

    Example:
        >>> gpudl.layers.RandomSharpness((0.5, 0.5))(np.ones((1, 2, 1))).numpy().ravel()
        array([1., 1.], dtype=float32)
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Range = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.factor = self._factor("factor", factor)
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        return {"factor": uniform(keys, (shape[0],), self.factor)}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        smooth = x
        for axis in (1, 2):
            smooth = along(smooth, band(x.shape[axis], np.ones(3), 1, x.shape[axis]), axis)
        smooth = (smooth + 4.0 * x) / 13.0  # the middle pixel counts five times as much as each around it
        return clipped(x + (1.0 - 2.0 * per_image(drawn["factor"])) * (smooth - x), self.value_range)


class RandomPerspective(MovingLayer):
    """In training, look at some of the images from other places: move their corners.

    Args:
        factor: the probability of each image, from 0 to 1, or the smallest and the largest.
        scale: how far corners are moved: by at most half of this fraction of their coordinates.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_value: the value beyond the edges.
        seed: an integer for reproducible choices.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor or a scale outside of [0, 1], or an unknown interpolation.

    Example:
        >>> gpudl.layers.RandomPerspective(scale=0.0)(np.ones((4, 4, 1))).numpy().min()
        np.float32(1.0)
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.factor = self._factor("factor", factor)
        require_number("RandomPerspective", 0, 1, scale=scale)
        self._one_of(interpolation=interpolation, allowed=tuple(ORDERS))
        self.scale, self.interpolation, self.fill_value = scale, interpolation, fill_value
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        count, right, bottom = shape[0], shape[2] - 1.0, shape[1] - 1.0
        chosen = some(keys, count, self.factor)
        by = uniform(keys, (count, 4, 2), (-0.5 * self.scale, 0.5 * self.scale))
        corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float32)
        start = ops.zeros_like(by) + corners
        return {"apply_perspective": chosen, "start_points": start, "end_points": start + start * by}

    def _moved(self, x: Tensor, drawn: Drawn, interpolation: str) -> Tensor:
        points = drawn["start_points"], drawn["end_points"]
        warped = ops.image.perspective_transform(x, *points, interpolation, self.fill_value, "channels_last")
        return ops.where(per_image(drawn["apply_perspective"]), warped, x)

    def _placed(self, x: Tensor, y: Tensor, drawn: Drawn, size: Size) -> tuple[Tensor, Tensor]:
        by = ops.expand_dims(homography(drawn["end_points"], drawn["start_points"]), 1)
        to_x, to_y, depth = (by[:, :, row, :1] * x + by[:, :, row, 1:2] * y + by[:, :, row, 2:] for row in range(3))
        chosen = ops.reshape(drawn["apply_perspective"], (-1, 1, 1))
        return ops.where(chosen, to_x / depth, x), ops.where(chosen, to_y / depth, y)


class RandomElasticTransform(MovingLayer):
    """In training, move the pixels of some of the images, near ones by nearly the same distance.

    Args:
        factor: the probability of each image, from 0 to 1, or the smallest and the largest.
        scale: the largest strength, from 0 to 1, or the smallest and the largest.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_mode: what is beyond the edges, see `ops.image.map_coordinates`.
        fill_value: the value for ``"constant"``.
        value_range: the smallest and the largest possible value; results are limited to them.
        seed: an integer for reproducible choices.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor or a scale outside of [0, 1], an unknown interpolation or mode, or no value_range.

    Example:
        >>> gpudl.layers.RandomElasticTransform(seed=1)(np.zeros((8, 8, 1))).shape
        (8, 8, 1)
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Range = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.factor, self.scale = self._factor("factor", factor), self._factor("scale", scale)
        self._one_of(interpolation=interpolation, allowed=tuple(ORDERS))
        self._one_of(fill_mode=fill_mode, allowed=FILL_MODES)
        self.interpolation, self.fill_mode, self.fill_value = interpolation, fill_mode, fill_value
        self._ranged(value_range)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        chosen = some(keys, shape[0], self.factor)
        strength = uniform(keys, (), self.scale)
        sides = shape[1:3]
        sigma = ops.maximum(strength * (0.05 * min(sides)), 1e-3)
        down, across = (displacements(keys.next(), (shape[0], *sides), sigma) for _ in range(2))
        alpha = strength * (0.1 * max(sides))
        return {"apply_transform": chosen, "down": down * alpha, "across": across * alpha}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return clipped(super()._changed(x, drawn), self.value_range)

    def _moved(self, x: Tensor, drawn: Drawn, interpolation: str) -> Tensor:
        by = drawn["down"], drawn["across"]
        moved = displaced(x, *by, ORDERS[interpolation], self.fill_mode, self.fill_value)
        return ops.where(per_image(drawn["apply_transform"]), moved, x)
