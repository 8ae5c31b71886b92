"""Layers that apply others, chosen at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import numpy as np

from gpudl import ops, random
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.image.base import (
    BoxOptions,
    Drawn,
    Factor,
    ImageLayer,
    Range,
    clipped,
    uniform,
)
from gpudl.layers.preprocessing.image.colors import RandomColorDegeneration
from gpudl.layers.preprocessing.image.equalizing import Equalization
from gpudl.layers.preprocessing.image.filters import RandomSharpness
from gpudl.layers.preprocessing.image.light import (
    AutoContrast,
    RandomBrightness,
    RandomContrast,
    RandomPosterization,
    Solarization,
)
from gpudl.layers.preprocessing.image.moved_boxes import Size
from gpudl.layers.preprocessing.image.moving import RandomRotation, RandomShear, RandomTranslation
from gpudl.random import SeedGenerator
from gpudl.utils.checks import positive, require_number

__all__ = [
    "AugMix",
    "RandAugment",
]


class AugmentingLayer(ImageLayer):
    """The base of layers that apply others, each with transformations that it draws.

    Args:
        value_range: the smallest and the largest possible value.
        factor: the strength of all of them.
        interpolation: of those that move pixels.
        seed: an integer for reproducible choices.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.
    """

    _keeps_places = False

    def __init__(
        self,
        value_range: Range,
        factor: Factor,
        interpolation: str,
        seed: int | None,
        data_format: str | None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self._ranged(value_range)
        self.factor = self._factor("factor", factor)
        self.interpolation = interpolation
        self._seeded(seed)
        by, within, dtype = self.factor, self.value_range, self.dtype_policy
        self._parts: dict[str, ImageLayer] = {
            "random_shear": RandomShear(by, by, interpolation, seed=seed, dtype=dtype),
            "random_translation": RandomTranslation(by, by, interpolation=interpolation, seed=seed, dtype=dtype),
            "random_rotation": RandomRotation(by, interpolation=interpolation, seed=seed, dtype=dtype),
            "random_brightness": RandomBrightness(by, within, seed, dtype=dtype),
            "random_color_degeneration": RandomColorDegeneration(by, within, seed=seed, dtype=dtype),
            "random_contrast": RandomContrast(by, within, seed, dtype=dtype),
            "random_sharpness": RandomSharpness(by, within, seed=seed, dtype=dtype),
            "random_posterization": RandomPosterization(max(1, int(8 * by[1])), within, seed=seed, dtype=dtype),
            "solarization": Solarization(by, by, within, seed, dtype=dtype),
            "auto_contrast": AutoContrast(within, dtype=dtype),
            "equalization": Equalization(within, dtype=dtype),
        }

    def _chosen(self, x: Tensor, which: Tensor, drawn: Mapping[str, Drawn], masks: bool) -> Tensor:
        """Return x transformed by the layer of the number `which`; a number beyond the last one changes nothing."""
        y = x
        for number, (name, part) in enumerate(self._parts.items()):
            if masks and part._keeps_places:
                continue
            changed = part._masked(x, drawn[name]) if masks else part._changed(x, drawn[name])
            y = ops.where(ops.equal(which, number), ops.cast_like(changed, x), y)
        return y


def nested(drawn: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return transformations of several layers as one, with the names of the layers before a slash."""
    return {f"{layer}/{name}": value for layer, own in drawn.items() for name, value in own.items()}


def split(drawn: Drawn, layer: str) -> dict[str, Tensor]:
    """Return the transformation of one layer out of `nested`."""
    return {name[len(layer) + 1 :]: value for name, value in drawn.items() if name.startswith(f"{layer}/")}


_OF_COLOR = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")


class RandAugment(AugmentingLayer):
    """In training, apply layers that are chosen at random for each batch: to move, color, sharpen ... images.

    Source: Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", 2020.

    Args:
        value_range: the smallest and the largest possible value.
        num_ops: how many are applied, one after another.
        factor: the strength of all of them, from 0 to 1, or the smallest and the largest.
        interpolation: of those that move pixels: ``"bilinear"`` or ``"nearest"``.
        seed: an integer for reproducible choices.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], no ops, an unknown interpolation, or a value_range that is none.

    Example:
        >>> gpudl.layers.RandAugment(num_ops=1, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        num_ops: int = 2,
        factor: Factor = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(value_range, factor, interpolation, seed, data_format, **options)
        self.num_ops = positive("RandAugment", num_ops=num_ops)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        which = ops.cast(uniform(keys, (self.num_ops,), (0, len(self._parts))), np.int32)
        return {"layer_idxes": which, **nested({name: part._drawn(shape, keys) for name, part in self._parts.items()})}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return self._applied(x, drawn, masks=False)

    def _masked(self, x: Tensor, drawn: Drawn) -> Tensor:
        return self._applied(x, drawn, masks=True)

    def _boxed(self, boxes: Tensor, drawn: Drawn, size: Size) -> Tensor:
        for at in range(self.num_ops):
            changed = boxes
            for number, (name, part) in enumerate(self._parts.items()):
                if not part._keeps_places:
                    there = part._boxed(boxes, split(drawn, name), size)
                    changed = ops.where(ops.equal(drawn["layer_idxes"][at], number), there, changed)
            boxes = changed
        return boxes

    def _applied(self, x: Tensor, drawn: Drawn, masks: bool) -> Tensor:
        own = {name: split(drawn, name) for name in self._parts}
        for at in range(self.num_ops):
            x = self._chosen(x, drawn["layer_idxes"][at], own, masks)
        return x


class AugMix(AugmentingLayer):
    """In training, mix images with several of their augmented versions, each by a chain of random layers.

    Source: Hendrycks et al., "AugMix: a simple data processing method to improve robustness and uncertainty", 2020.

    Args:
        value_range: the smallest and the largest possible value.
        num_chains: how many versions are mixed.
        chain_depth: how many layers make one; each may be left out.
        factor: the strength of all layers, from 0 to 1, or the smallest and the largest.
        alpha: the parameter of the distributions of the weights.
        all_ops: whether layers that change brightness, contrast, color and sharpness are among them.
        interpolation: of layers that move pixels: ``"bilinear"`` or ``"nearest"``.
        seed: an integer for reproducible choices.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], numbers that are not positive, an unknown interpolation, or a
            value_range that is none.

    Example:
        >>> gpudl.layers.AugMix(num_chains=1, chain_depth=1, seed=1)(np.zeros((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        value_range: Range = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Factor = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(value_range, factor, interpolation, seed, data_format, **options)
        self.num_chains = positive("AugMix", num_chains=num_chains)
        self.chain_depth = positive("AugMix", chain_depth=chain_depth)
        require_number("AugMix", 1e-6, alpha=alpha)
        self.alpha, self.all_ops = alpha, all_ops
        if not all_ops:
            for name in _OF_COLOR:
                del self._parts[name]

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        steps = self.num_chains * self.chain_depth
        # A number beyond the last layer leaves the images as they are.
        which = ops.cast(uniform(keys, (steps,), (0, len(self._parts) + 1)), np.int32)
        shares = random.gamma((self.num_chains,), self.alpha, dtype="float32", seed=keys)
        drawn = {"which": which, "chain_mixing_weights": shares / ops.sum(shares)}
        drawn["weight_sample"] = random.beta((), self.alpha, self.alpha, dtype="float32", seed=keys)
        for step in range(steps):
            own = nested({name: part._drawn(shape, keys) for name, part in self._parts.items()})
            drawn |= nested({str(step): own})
        return drawn

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return clipped(self._mixed(x, drawn, masks=False), self.value_range)

    def _masked(self, x: Tensor, drawn: Drawn) -> Tensor:
        return self._mixed(x, drawn, masks=True)

    def _boxed(self, boxes: Tensor, drawn: Drawn, size: Size) -> Tensor:
        return boxes  # of the mixture, in which the image itself has the largest share

    def _mixed(self, x: Tensor, drawn: Drawn, masks: bool) -> Tensor:
        weight = ops.cast_like(drawn["weight_sample"], x)
        result = weight * x
        for chain in range(self.num_chains):
            y = x
            for at in range(self.chain_depth):
                step = chain * self.chain_depth + at
                own = split(drawn, str(step))
                y = self._chosen(y, drawn["which"][step], {name: split(own, name) for name in self._parts}, masks)
            result = result + (1.0 - weight) * ops.cast_like(drawn["chain_mixing_weights"][chain], x) * y
        return result
