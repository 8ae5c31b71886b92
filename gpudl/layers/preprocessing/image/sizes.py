"""Layers that change the size of images, or the range of their values."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from gpudl import config, ops
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.layers.preprocessing.image.base import BoxOptions, Drawn, ImageLayer, uniform
from gpudl.layers.preprocessing.image.moved_boxes import Size
from gpudl.ops.image.resizing import fitting
from gpudl.random import SeedGenerator
from gpudl.utils.checks import positive

__all__ = [
    "CenterCrop",
    "RandomCrop",
    "Rescaling",
    "Resizing",
]

Scale = float | list[float] | tuple[float, ...]


class Rescaling(Layer):
    """Return inputs * scale + offset.

    Args:
        scale: a number, or one for each channel.
        offset: a number, or one for each channel.
        **options: those of `Layer`.

    Example:
        >>> gpudl.layers.Rescaling(1 / 127.5, offset=-1)(np.array([[0, 255]])).numpy()
        array([[-1.,  1.]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, scale: Scale, offset: Scale = 0.0, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Tensor) -> Tensor:
        """Return the inputs in the other range."""
        x = self._floating(inputs)
        scale, offset = (np.asarray(by, np.float32).astype(x.dtype) for by in (self.scale, self.offset))
        if scale.ndim and config.image_data_format() == "channels_first":
            scale = scale.reshape(-1, 1, 1)
            offset = offset.reshape(-1, 1, 1) if offset.ndim else offset
        return x * scale + offset


class _Sized(ImageLayer):
    """The base of layers with a target size."""

    _keeps_places = False

    def __init__(self, height: int, width: int, data_format: str | None, **options: Unpack[BoxOptions]) -> None:
        super().__init__(data_format=data_format, **options)
        who = type(self).__name__
        self.height, self.width = positive(who, height=height), positive(who, width=width)

    def _size_after(self, size: Size) -> Size:
        return self.height, self.width

    def _fitted(self, x: Tensor, y: Tensor, size: Size, pad: bool = False) -> tuple[Tensor, Tensor]:
        """Return where points are after the middle of images, or with `pad` padded ones, was resized, see `resize`."""
        region = fitting(*size, self.height, self.width, max_=pad)
        top, left = (
            -((part - whole) // 2) if pad else (whole - part) // 2 for whole, part in zip(size, region, strict=True)
        )
        high, wide = (size[0] - 2 * top, size[1] - 2 * left) if pad else region
        return (x - left) * (self.width / wide), (y - top) * (self.height / high)


class Resizing(_Sized):
    """Resize images; integers stay integers.

    Args:
        height: of the results, in pixels.
        width: of the results, in pixels.
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"``, ``"lanczos5"`` or ``"area"``.
        crop_to_aspect_ratio: whether to cut the largest part of the target's aspect ratio out of the middle first.
        pad_to_aspect_ratio: whether to pad to the target's aspect ratio first.
        fill_mode: ``"constant"``, the only one.
        fill_value: the value of padding.
        antialias: whether to smooth what gets smaller.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a size that is not positive, or at the first call an argument that `ops.image.resize` refuses.

    Example:
        >>> gpudl.layers.Resizing(2, 3)(np.zeros((8, 6, 3), np.uint8)).shape
        (2, 3, 3)
    """

    _always = _keeps_dtype = True

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(height, width, data_format, **options)
        self.interpolation, self.antialias = interpolation, bool(antialias)
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.fill_mode, self.fill_value = fill_mode, fill_value

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return self._resized(x, self.interpolation)

    def _masked(self, x: Tensor, drawn: Drawn) -> Tensor:
        return self._resized(x, "nearest")

    def _resized(self, x: Tensor, interpolation: str) -> Tensor:
        return ops.image.resize(
            x,
            (self.height, self.width),
            interpolation,
            self.antialias,
            self.crop_to_aspect_ratio,
            self.pad_to_aspect_ratio,
            self.fill_mode,
            self.fill_value,
            "channels_last",
        )

    def _placed(self, x: Tensor, y: Tensor, drawn: Drawn, size: Size) -> tuple[Tensor, Tensor]:
        if self.crop_to_aspect_ratio or self.pad_to_aspect_ratio:
            return self._fitted(x, y, size, self.pad_to_aspect_ratio)
        return x * (self.width / size[1]), y * (self.height / size[0])


class CenterCrop(_Sized):
    """Cut the middle out of images; smaller ones are resized, and their middle of that aspect ratio kept.

    Args:
        height: of the results, in pixels.
        width: of the results, in pixels.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a size that is not positive.

    Example:
        >>> gpudl.layers.CenterCrop(1, 2)(np.arange(12.0).reshape(3, 4, 1)).numpy().ravel()
        array([5., 6.], dtype=float32)
    """

    _always = True

    def __init__(self, height: int, width: int, data_format: str | None = None, **options: Unpack[BoxOptions]) -> None:
        super().__init__(height, width, data_format, **options)

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        top, left = (x.shape[1] - self.height) // 2, (x.shape[2] - self.width) // 2
        if top >= 0 and left >= 0:
            return x[:, top : top + self.height, left : left + self.width]
        return _fitted(x, self.height, self.width)

    def _placed(self, x: Tensor, y: Tensor, drawn: Drawn, size: Size) -> tuple[Tensor, Tensor]:
        top, left = (size[0] - self.height) // 2, (size[1] - self.width) // 2
        return (x - left, y - top) if top >= 0 and left >= 0 else self._fitted(x, y, size)


class RandomCrop(_Sized):
    """In training, cut a part at a random place out of images, the same place for a whole batch.

    Smaller images are resized, and their middle of that aspect ratio kept.

    Args:
        height: of the results, in pixels.
        width: of the results, in pixels.
        seed: an integer for reproducible places.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a size that is not positive.

    Example:
        >>> gpudl.layers.RandomCrop(2, 3, seed=1)(np.zeros((8, 6, 3))).shape
        (2, 3, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(height, width, data_format, **options)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        spare = shape[1] - self.height, shape[2] - self.width
        if min(spare) <= 0:
            return {}
        names = ("top", "left")
        return {name: ops.cast(uniform(keys, (), (0, n + 1.0)), np.int32) for name, n in zip(names, spare, strict=True)}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        if "top" not in drawn:
            return _fitted(x, self.height, self.width)
        rows = drawn["top"] + np.arange(self.height, dtype=np.int32)
        columns = drawn["left"] + np.arange(self.width, dtype=np.int32)
        return ops.take(ops.take(x, rows, axis=1), columns, axis=2)

    def _placed(self, x: Tensor, y: Tensor, drawn: Drawn, size: Size) -> tuple[Tensor, Tensor]:
        if "top" not in drawn:
            return self._fitted(x, y, size)
        return x - ops.cast_like(drawn["left"], x), y - ops.cast_like(drawn["top"], y)


def _fitted(x: Tensor, height: int, width: int) -> Tensor:
    return ops.image.resize(x, (height, width), crop_to_aspect_ratio=True, data_format="channels_last")
