"""The base of layers for images: layouts, single images, dicts of images and labels, and drawn transformations.

A layer draws a transformation of a batch (`_drawn`) and applies it to the images (`_changed`), which are always a
batch (N, H, W, C) in the dtype of computation. Both are ops of the recorded step, so that each step draws again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, Unpack

import numpy as np

from gpudl import config, ops, random
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import Shape, ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.layers.preprocessing.image.moved_boxes import Size, moved
from gpudl.random import SeedGenerator
from gpudl.registry import Config
from gpudl.utils.bounding_boxes.moving import bounding

Drawn: TypeAlias = Mapping[str, Tensor]
"""A transformation of a batch: its parameters, by name."""
Factor: TypeAlias = float | tuple[float, float] | list[float]
"""A number, or the smallest and the largest one."""
Range: TypeAlias = tuple[float, float] | list[float]


class BoxOptions(LayerOptions, total=False):
    """The arguments of all layers for images."""

    bounding_box_format: str | None


class ImageOptions(BoxOptions, total=False):
    """The arguments of layers for images that do not take `data_format` themselves."""

    data_format: str | None


class ImageLayer(Layer):
    """The base of layers that transform images, alone or in a dict with labels and segmentation masks.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        bounding_box_format: what the numbers of boxes mean, see `utils.bounding_boxes.convert_format`.
        **options: those of `Layer`.
    """

    generator: SeedGenerator | None = None  # what draws, if anything is drawn
    _always = False  # whether it does the same outside of training
    _keeps_dtype = False  # whether images of integers stay integers
    _keeps_places = True  # whether each pixel stays where it was, so that masks and boxes are still right

    def __init__(
        self,
        *,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.data_format = config.check_data_format(data_format)
        self.bounding_box_format = bounding_box_format

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data, and the layout that was the default."""
        return {**super().get_config(), "data_format": self.data_format}

    def call(self, data: Tensor | dict[str, object], training: bool = True) -> object:
        """Return transformed images, or a dict of them and of what else is in it."""
        if not isinstance(data, dict):
            drawn = self.get_random_transformation(data, training)
            return self.transform_images(data, drawn, training)
        if "images" not in data:
            raise ValueError(f"{self._who()}: a dict must have images, got the keys {list(data)}.")
        parts: dict[str, Callable[..., object]] = {
            "images": self.transform_images,
            "labels": self.transform_labels,
            "segmentation_masks": self.transform_segmentation_masks,
            "bounding_boxes": self.transform_bounding_boxes,
        }
        drawn = self.get_random_transformation(data, training)
        return {name: parts[name](part, drawn, training) if name in parts else part for name, part in data.items()}

    def get_random_transformation(
        self, data: Tensor | Mapping[str, object], training: bool = True, seed: SeedGenerator | None = None
    ) -> Drawn:
        """Return what is drawn for images: tensors by name, which `transform_images` takes.

        With bounding boxes, the images are among them, for their size.
        """
        whole = data if isinstance(data, Mapping) else {"images": data}
        images = as_tensor(whole["images"])
        keys = self.generator if seed is None else seed
        drawn = self._drawn(self._batch(images)[0].shape, keys) if training and keys is not None else {}
        return {**drawn, "images": images} if "bounding_boxes" in whole else drawn

    def transform_images(self, images: Tensor, transformation: Drawn | None = None, training: bool = True) -> Tensor:
        """Return images transformed as drawn."""
        return self._transformed(images, training, lambda x: self._changed(x, transformation or {}))

    def transform_labels(self, labels: Tensor, transformation: Drawn | None = None, training: bool = True) -> Tensor:
        """Return the labels of transformed images."""
        return labels

    def transform_segmentation_masks(
        self, segmentation_masks: Tensor, transformation: Drawn | None = None, training: bool = True
    ) -> Tensor:
        """Return masks transformed like their images."""
        if self._keeps_places:
            return segmentation_masks
        masks = as_tensor(segmentation_masks)
        kind = masks.dtype
        changed = self._transformed(masks, training, lambda x: self._masked(x, transformation or {}))
        return changed if changed.dtype == kind else ops.cast(changed, kind)

    def transform_bounding_boxes(
        self, bounding_boxes: object, transformation: Drawn | None = None, training: bool = True
    ) -> object:
        """Return a dict of boxes around objects, moved with the pixels, and labels, -1 where nothing of a box is left.

        Boxes are (batch, number, 4), labels (batch, number). `get_random_transformation` must have seen them.
        """
        if self._keeps_places or not (training or self._always):
            return bounding_boxes
        drawn = transformation or {}
        if "images" not in drawn:
            raise ValueError(
                f"{self._who()}: get_random_transformation needs the dict with bounding_boxes, not the images."
            )
        before = self._batch(drawn["images"])[0].shape[1:3]
        size = (before[0], before[1])

        def move(boxes: Tensor) -> Tensor:
            return self._boxed(boxes, drawn, size)

        return moved(self._who(), bounding_boxes, self.bounding_box_format, size, self._size_after(size), move)

    def _boxed(self, boxes: Tensor, drawn: Drawn, size: Size) -> Tensor:
        """Return boxes (batch, number, 4), x1, y1, x2, y2, moved as drawn; they may go beyond the edges."""
        return bounding(ops.split(boxes, 4, axis=-1), lambda x, y: self._placed(x, y, drawn, size))

    def _placed(self, x: Tensor, y: Tensor, drawn: Drawn, size: Size) -> tuple[Tensor, Tensor]:
        """Return where points (batch, number, 1) of images are afterwards."""
        raise NotImplementedError(
            f"{self._who()} does not transform bounding boxes. Leave bounding_boxes out of its input, or use "
            "segmentation_masks."
        )

    def _size_after(self, size: Size) -> Size:
        """Return the size of the results."""
        return size

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        """Return what is drawn for a batch of `shape`, always (N, H, W, C)."""
        return {}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Return a batch (N, H, W, C) transformed as drawn."""
        raise NotImplementedError

    def _masked(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Return masks (N, H, W, C) transformed as drawn."""
        return self._changed(x, drawn)

    def _factor(self, name: str, value: Factor, low: float = 0.0, high: float = 1.0) -> tuple[float, float]:
        return bounds(type(self).__name__, name, value, low, high)

    def _ranged(self, value: Range) -> None:
        """Set the range of pixel values: the smallest and the largest."""
        if not isinstance(value, tuple | list) or len(value) != 2 or value[0] == value[1]:
            raise ValueError(
                f"{type(self).__name__}: value_range must be two different numbers, such as (0, 255), got {value!r}."
            )
        self.value_range = (min(value), max(value))

    def _one_of(self, allowed: Sequence[str], **given: str) -> None:
        for name, value in given.items():
            if value not in allowed:
                raise ValueError(f"{type(self).__name__}: {name} must be one of {', '.join(allowed)}, got {value!r}.")

    def _seeded(self, seed: int | None) -> None:
        """Set the seed, and the generator that draws."""
        self.seed, self.generator = seed, SeedGenerator(seed)

    def _batch(self, images: Tensor) -> tuple[Tensor, bool, bool]:
        """Return images as a batch (N, H, W, C), whether they are one image, and whether channels were first."""
        if images.ndim not in (3, 4):
            raise ShapeError(
                "expected an image with 3 axes, or a batch of images with 4, one of them for the channels, got shape "
                f"{images.shape}."
            )
        first, single = self.data_format == "channels_first", images.ndim == 3
        x = ops.expand_dims(images, 0) if single else images
        return ops.transpose(x, (0, 2, 3, 1)) if first else x, single, first

    def _transformed(self, images: Tensor, training: bool, change: Callable[[Tensor], Tensor]) -> Tensor:
        x = as_tensor(images)
        if not self._keeps_dtype and x.dtype != self._computes_in:
            x = ops.cast(x, self._computes_in)
        if not (training or self._always):
            return x
        batch, single, first = self._batch(x)
        y = change(batch)
        y = ops.transpose(y, (0, 3, 1, 2)) if first else y
        y = ops.squeeze(y, 0) if single else y
        return y if self._keeps_dtype or y.dtype == self._computes_in else ops.cast(y, self._computes_in)


class MovingLayer(ImageLayer):
    """The base of layers that move pixels: masks are moved with them, without interpolation."""

    _keeps_places = False
    interpolation: str

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return self._moved(x, drawn, self.interpolation)

    def _masked(self, x: Tensor, drawn: Drawn) -> Tensor:
        return self._moved(x, drawn, "nearest")

    def _moved(self, x: Tensor, drawn: Drawn, interpolation: str) -> Tensor:
        """Return a batch moved as drawn."""
        raise NotImplementedError


def uniform(keys: SeedGenerator, shape: tuple[int, ...], bounds: Factor = (0.0, 1.0)) -> Tensor:
    """Return float32 numbers drawn between two bounds."""
    low, high = bounds if isinstance(bounds, tuple | list) else (0.0, bounds)
    return random.uniform(shape, low, high, dtype="float32", seed=keys)


def per_image(x: Tensor) -> Tensor:
    """Return one number per image as (N, 1, 1, 1)."""
    return ops.reshape(x, (-1, 1, 1, 1))


def some(keys: SeedGenerator, count: int, factor: Factor) -> Tensor:
    """Return bools, each true with a probability that is drawn between the bounds of `factor`."""
    probability = uniform(keys, (count,), factor)
    return uniform(keys, (count,)) < probability


def bounds(who: str, name: str, value: Factor, low: float, high: float) -> tuple[float, float]:
    """Return the smallest and the largest value of a factor; a number is the largest, and with a minus the smallest.

    Example:
        >>> bounds("RandomRotation", "factor", 0.2, -1, 1), bounds("RandomContrast", "factor", 0.2, 0, 1)
        ((-0.2, 0.2), (0, 0.2))
    """
    pair = list(value) if isinstance(value, tuple | list) else [value]
    numbers = all(isinstance(n, int | float | np.number) and not isinstance(n, bool) for n in pair)
    if not numbers or len(pair) > 2 or not pair or min(pair) < low or max(pair) > high:
        raise ValueError(
            f"{who}: {name} must be a number from {low} to {high}, or the smallest and the largest one, got {value!r}."
        )
    if isinstance(value, tuple | list):
        return (min(pair), max(pair))
    largest = abs(pair[0])
    return max(-largest, low), largest


def rescaled(x: Tensor, old: Range, new: Range) -> Tensor:
    """Return pixel values of one range in another."""
    if tuple(old) == tuple(new):
        return x
    return (x - old[0]) / (old[1] - old[0]) * (new[1] - new[0]) + new[0]


def clipped(x: Tensor, limits: Range) -> Tensor:
    """Return pixel values limited to a range."""
    return ops.clip(x, float(limits[0]), float(limits[1]))
