"""Layers that change the colors of images at random."""

from __future__ import annotations

from typing import Unpack

from gpudl import config, ops
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
    rescaled,
    uniform,
)
from gpudl.layers.preprocessing.image.light import RandomBrightness, RandomContrast
from gpudl.random import SeedGenerator
from gpudl.utils.checks import require_number

__all__ = [
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomGrayscale",
    "RandomHue",
    "RandomSaturation",
]


class _Colored(ImageLayer):
    """The base of layers that change RGB images by one factor."""

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


class RandomHue(_Colored):
    """In training, turn the hues of RGB images.

    Args:
        factor: the largest change, from 0 to 1 (a half turn), or the smallest and the largest. Half of the images are
            turned the other way.
        value_range: the smallest and the largest possible value.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible changes.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], or a value_range that is none.
        ShapeError: no RGB images.

    Example:
        >>> gpudl.layers.RandomHue((1.0, 1.0))(np.array([[[255.0, 0.0, 0.0]]])).numpy().round()
        array([[[  0., 255., 255.]]], dtype=float32)
    """

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        sign = ops.where(uniform(keys, (shape[0],)) > 0.5, -0.5, 0.5)
        return {"factor": uniform(keys, (shape[0],), self.factor) * sign}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        hsv = ops.image.rgb_to_hsv(rescaled(x, self.value_range, (0, 1)), "channels_last")
        hue = hsv[..., :1] + per_image(drawn["factor"])
        hue = ops.where(hue > 1.0, hue - 1.0, hue)
        hue = ops.where(hue < 0.0, hue + 1.0, hue)
        rgb = ops.image.hsv_to_rgb(ops.concatenate([hue, hsv[..., 1:]], axis=-1), "channels_last")
        return rescaled(clipped(rgb, (0, 1)), (0, 1), self.value_range)


class RandomSaturation(_Colored):
    """In training, make the colors of RGB images stronger or weaker: a factor of 0.5 changes nothing, 0 makes grey.

    Args:
        factor: the largest factor, from 0 to 1, or the smallest and the largest.
        value_range: the smallest and the largest possible value.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible changes.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], or a value_range that is none.
        ShapeError: no RGB images.

    Example:
        >>> gpudl.layers.RandomSaturation((0.0, 0.0))(np.array([[[200.0, 100.0, 0.0]]])).numpy()
        array([[[200., 200., 200.]]], dtype=float32)
    """

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        factor = uniform(keys, (shape[0],), self.factor)
        return {"factor": factor / (1.0 - factor + config.epsilon())}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        hsv = ops.image.rgb_to_hsv(x, "channels_last")
        saturation = clipped(hsv[..., 1:2] * per_image(drawn["factor"]), self.value_range)
        whole = ops.concatenate([hsv[..., :1], saturation, hsv[..., 2:]], axis=-1)
        return ops.image.hsv_to_rgb(whole, "channels_last")


class RandomColorDegeneration(_Colored):
    """In training, mix RGB images with grey ones.

    Args:
        factor: the largest share of grey, from 0 to 1, or the smallest and the largest.
        value_range: the smallest and the largest possible value; results are limited to them.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible shares.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], or a value_range that is none.
        ShapeError: no RGB images.

    Example:
        >>> gpudl.layers.RandomColorDegeneration((1.0, 1.0))(np.array([[[100.0, 100.0, 0.0]]])).numpy().round(1)
        array([[[88.6, 88.6, 88.6]]], dtype=float32)
    """

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        return {"factor": uniform(keys, (shape[0], 1, 1, 1), self.factor)}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        grey = ops.image.rgb_to_grayscale(x, "channels_last")
        return clipped(x + drawn["factor"] * (grey - x), self.value_range)


class RandomGrayscale(ImageLayer):
    """In training, make some of the images grey, in three channels as before; integers stay integers.

    Args:
        factor: the probability of each image.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible choices.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1].
        ShapeError: no RGB images.

    Example:
        >>> gpudl.layers.RandomGrayscale(1.0)(np.array([[[100, 100, 0]]], np.uint8)).numpy()
        array([[[88, 88, 88]]], dtype=uint8)
    """

    _keeps_dtype = True

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        require_number("RandomGrayscale", 0, 1, factor=factor)
        self.factor = factor
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        return {"should_apply": uniform(keys, (shape[0], 1, 1, 1)) < self.factor}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return ops.where(drawn["should_apply"], ops.image.rgb_to_grayscale(x, "channels_last"), x)


class RandomColorJitter(ImageLayer):
    """In training, change brightness, contrast, saturation and hue of RGB images, in this order.

    Args:
        value_range: the smallest and the largest possible value.
        brightness_factor: that of `RandomBrightness`; None leaves it out.
        contrast_factor: that of `RandomContrast`; None leaves it out.
        saturation_factor: that of `RandomSaturation`; None leaves it out.
        hue_factor: that of `RandomHue`; None leaves it out.
        seed: an integer for reproducible changes.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor that one of these layers refuses.

    Example:
        >>> gpudl.layers.RandomColorJitter(brightness_factor=(0.2, 0.2))(np.zeros((1, 1, 3))).numpy()
        array([[[51., 51., 51.]]], dtype=float32)
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        brightness_factor: Factor | None = None,
        contrast_factor: Factor | None = None,
        saturation_factor: Factor | None = None,
        hue_factor: Factor | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self._ranged(value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        self._seeded(seed)
        given: dict[type[RandomBrightness | RandomContrast | _Colored], Factor | None] = {
            RandomBrightness: brightness_factor,
            RandomContrast: contrast_factor,
            RandomSaturation: saturation_factor,
            RandomHue: hue_factor,
        }
        self._parts = [
            kind(factor, value_range=value_range, seed=seed, dtype=self.dtype_policy)
            for kind, factor in given.items()
            if factor is not None
        ]

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        return {
            f"{at}/{name}": value
            for at, part in enumerate(self._parts)
            for name, value in part._drawn(shape, keys).items()
        }

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        for at, part in enumerate(self._parts):
            own = {name.partition("/")[2]: value for name, value in drawn.items() if name.startswith(f"{at}/")}
            x = part._changed(x, own)
        return x
