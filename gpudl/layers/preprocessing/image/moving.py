"""Layers that move, turn, zoom and shear images at random."""

from __future__ import annotations

from math import pi
from typing import Unpack

from gpudl import ops
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.image.base import (
    BoxOptions,
    Drawn,
    Factor,
    MovingLayer,
    uniform,
)
from gpudl.layers.preprocessing.image.moved_boxes import Size
from gpudl.random import SeedGenerator

__all__ = [
    "RandomRotation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
]


class _Affine(MovingLayer):
    """The base of layers that transform coordinates linearly."""

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self._one_of(fill_mode=fill_mode, allowed=("reflect", "wrap", "constant", "nearest"))
        self._one_of(interpolation=interpolation, allowed=("nearest", "bilinear"))
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value
        self._seeded(seed)

    def _transform(self, drawn: Drawn, height: int, width: int) -> list[Tensor | float]:
        """Return a0, a1, a2, b0, b1, b2, see `ops.image.affine_transform`."""
        raise NotImplementedError

    def _moved(self, x: Tensor, drawn: Drawn, interpolation: str) -> Tensor:
        parts = self._transform(drawn, x.shape[1], x.shape[2])
        zeros = ops.zeros_like(next(iter(drawn.values()))[:, :1])
        by = ops.concatenate([zeros + part for part in (*parts, 0.0, 0.0)], axis=1)
        return ops.image.affine_transform(x, by, interpolation, self.fill_mode, self.fill_value, "channels_last")

    def _placed(self, x: Tensor, y: Tensor, drawn: Drawn, size: Size) -> tuple[Tensor, Tensor]:
        a0, a1, a2, b0, b1, b2 = (
            ops.expand_dims(part, -1) if isinstance(part, Tensor) else part for part in self._transform(drawn, *size)
        )
        x, y, area = x - a2, y - b2, a0 * b1 - a1 * b0
        return (b1 * x - a1 * y) / area, (a0 * y - b0 * x) / area


class RandomTranslation(_Affine):
    """In training, move images by random distances.

    Args:
        height_factor: the largest distance downwards as a fraction of the height, or the smallest and the largest:
            negative ones are upwards; a number f means (-f, f).
        width_factor: the same for the distance to the right and the width.
        fill_mode: what is beyond the edges: ``"reflect"``, ``"wrap"``, ``"constant"`` or ``"nearest"``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: an integer for reproducible distances.
        fill_value: the value for ``"constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [-1, 1], or an unknown mode.

    Example:
        >>> gpudl.layers.RandomTranslation((1 / 3, 1 / 3), 0, "wrap")(np.arange(3.0).reshape(3, 1, 1)).numpy().ravel()
        array([2., 0., 1.], dtype=float32)
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = self._factor("height_factor", height_factor, -1.0)
        self._width = self._factor("width_factor", width_factor, -1.0)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        down = uniform(keys, (shape[0], 1), self._height) * shape[1]
        return {"translations": ops.concatenate([uniform(keys, (shape[0], 1), self._width) * shape[2], down], axis=1)}

    def _transform(self, drawn: Drawn, height: int, width: int) -> list[Tensor | float]:
        by = drawn["translations"]
        return [1.0, 0.0, -by[:, :1], 0.0, 1.0, -by[:, 1:]]


class RandomRotation(_Affine):
    """In training, turn images around their middle by random angles.

    Args:
        factor: the largest angle as a fraction of a full turn, or the smallest and the largest; a number f means
            (-f, f). Positive angles are counterclockwise.
        fill_mode: what is beyond the edges: ``"reflect"``, ``"wrap"``, ``"constant"`` or ``"nearest"``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: an integer for reproducible angles.
        fill_value: the value for ``"constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [-1, 1], or an unknown mode.

    Example:
        >>> turned = gpudl.layers.RandomRotation((0.5, 0.5))(np.arange(3.0).reshape(1, 3, 1))
        >>> turned.numpy().ravel().round(3)
        array([2., 1., 0.], dtype=float32)
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.factor = self._factor("factor", factor, -1.0)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        return {"angle": uniform(keys, (shape[0], 1), (360.0 * self.factor[0], 360.0 * self.factor[1]))}

    def _transform(self, drawn: Drawn, height: int, width: int) -> list[Tensor | float]:
        angle = drawn["angle"] * (pi / 180)
        cos, sin = ops.cos(angle), ops.sin(angle)
        x, y = (width - 1) / 2, (height - 1) / 2
        return [cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos]


class RandomZoom(_Affine):
    """In training, zoom into images and out of them.

    Args:
        height_factor: the largest change of the height that is seen, as a fraction, or the smallest and the largest:
            0.2 zooms out by 20 %, -0.2 zooms in; a number f means (-f, f).
        width_factor: the same for the width; None keeps the aspect ratio.
        fill_mode: what is beyond the edges: ``"reflect"``, ``"wrap"``, ``"constant"`` or ``"nearest"``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: an integer for reproducible zooms.
        fill_value: the value for ``"constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of (-1, 1], or an unknown mode.

    Example:
        >>> zoomed = gpudl.layers.RandomZoom((-0.5, -0.5))(np.arange(5.0).reshape(1, 5, 1))
        >>> zoomed.numpy().ravel()
        array([1. , 1.5, 2. , 2.5, 3. ], dtype=float32)
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = self._checked("height_factor", height_factor)
        self._width = None if width_factor is None else self._checked("width_factor", width_factor)

    def _checked(self, name: str, factor: Factor) -> tuple[float, float]:
        low, high = self._factor(name, factor, -1.0)
        if low == -1.0 and isinstance(factor, tuple | list):
            raise ValueError(f"RandomZoom: {name} must be above -1, where nothing would be seen, got {factor!r}.")
        return 1.0 + low, 1.0 + high

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        height = uniform(keys, (shape[0], 1), self._height)
        width = height if self._width is None else uniform(keys, (shape[0], 1), self._width)
        return {"height_zoom": height, "width_zoom": width}

    def _transform(self, drawn: Drawn, height: int, width: int) -> list[Tensor | float]:
        down, across = drawn["height_zoom"], drawn["width_zoom"]
        return [across, 0.0, (width - 1) / 2 * (1.0 - across), 0.0, down, (height - 1) / 2 * (1.0 - down)]


class RandomShear(_Affine):
    """In training, shear images: move each row, or column, further than the one before.

    Args:
        x_factor: the largest distance of two neighbouring rows, from 0 to 1, or the smallest and the largest; a number
            f means (-f, f). Half of the images are sheared the other way.
        y_factor: the same for columns.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_mode: what is beyond the edges: ``"reflect"``, ``"wrap"``, ``"constant"`` or ``"nearest"``.
        fill_value: the value for ``"constant"``.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible distances.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1], or an unknown mode.

    Example:
        >>> gpudl.layers.RandomShear(0.3, seed=1)(np.zeros((8, 6, 3))).shape
        (8, 6, 3)
    """

    def __init__(
        self,
        x_factor: Factor = 0.0,
        y_factor: Factor = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.x_factor, self.y_factor = x_factor, y_factor
        self._across, self._down = self._checked("x_factor", x_factor), self._checked("y_factor", y_factor)

    def _checked(self, name: str, factor: Factor) -> tuple[float, float]:
        low, high = self._factor(name, factor, 0.0)
        return (low, high) if isinstance(factor, tuple | list) else (-high, high)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        sign = ops.where(uniform(keys, (shape[0], 1)) > 0.5, -1.0, 1.0)
        down, across = (uniform(keys, (shape[0], 1), by) for by in (self._down, self._across))
        return {"shear_factor": ops.concatenate([across, down], axis=1) * sign}

    def _transform(self, drawn: Drawn, height: int, width: int) -> list[Tensor | float]:
        by = drawn["shear_factor"]
        return [1.0, by[:, :1], 0.0, by[:, 1:], 1.0, 0.0]
