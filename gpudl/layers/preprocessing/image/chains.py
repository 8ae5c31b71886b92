"""Layers that apply other layers: a row of them, or some chosen at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self, Unpack

import numpy as np

from gpudl import ops
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.layers.preprocessing.image.base import (
    BoxOptions,
    Drawn,
    Factor,
    ImageLayer,
    Range,
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
from gpudl.layers.preprocessing.image.moving import RandomRotation, RandomShear, RandomTranslation
from gpudl.random import SeedGenerator
from gpudl.registry import Config
from gpudl.utils.checks import positive

__all__ = [
    "Pipeline",
    "RandAugment",
]


class Pipeline(Layer):
    """Apply layers one after another, with `training` for those that take it.

    Args:
        layers: the layers.
        name: a name.

    Example:
        >>> pipeline = gpudl.layers.Pipeline([gpudl.layers.Rescaling(0.5), gpudl.layers.CenterCrop(1, 1)])
        >>> pipeline(np.full((3, 3, 1), 8.0)).numpy().ravel()
        array([4.], dtype=float32)
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        if not isinstance(layers, list | tuple) or not all(isinstance(layer, Layer) for layer in layers):
            raise TypeError(f"Pipeline: layers must be a list of layers, got {layers!r}.")
        self.layers = list(layers)

    def call(self, inputs: object, training: bool = True) -> object:
        """Return what the last layer makes of it."""
        for layer in self.layers:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> Config:
        """Return the layers and the name as plain data."""
        return {"layers": [LAYERS.serialize(layer) for layer in self.layers], "name": self.name}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a new pipeline of new layers."""
        return cls(**{**config, "layers": [LAYERS.deserialize(layer) for layer in config["layers"]]})


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

    def _applied(self, x: Tensor, drawn: Drawn, masks: bool) -> Tensor:
        own = {name: split(drawn, name) for name in self._parts}
        for at in range(self.num_ops):
            x = self._chosen(x, drawn["layer_idxes"][at], own, masks)
        return x
