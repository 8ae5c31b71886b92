"""Layers that flip images at random."""

from __future__ import annotations

from typing import Unpack

from gpudl import ops
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.image.base import BoxOptions, Drawn, MovingLayer, uniform
from gpudl.layers.preprocessing.image.moved_boxes import Size
from gpudl.random import SeedGenerator

__all__ = [
    "RandomFlip",
]

_MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(MovingLayer):
    """In training, flip half of the images.

    Args:
        mode: ``"horizontal"`` (left and right), ``"vertical"`` or ``"horizontal_and_vertical"`` (both at once).
        seed: an integer for reproducible flips.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: an unknown mode.

    Example:
        >>> y = gpudl.layers.RandomFlip("horizontal", seed=1)(np.arange(3.0).reshape(1, 3, 1)).numpy().ravel()
        >>> y.tolist() in ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0])
        True
    """

    interpolation = "nearest"

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self._one_of(mode=mode, allowed=_MODES)
        self.mode = mode
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        return {"flips": uniform(keys, (shape[0], 1, 1, 1)) <= 0.5}

    def _moved(self, x: Tensor, drawn: Drawn, interpolation: str) -> Tensor:
        across, down = (-1 if side in self.mode else 1 for side in _MODES[:2])
        return ops.where(drawn["flips"], x[:, ::down, ::across], x)

    def _placed(self, x: Tensor, y: Tensor, drawn: Drawn, size: Size) -> tuple[Tensor, Tensor]:
        across, down = (ops.logical_and(side in self.mode, drawn["flips"][..., 0]) for side in _MODES[:2])
        return ops.where(across, size[1] - x, x), ops.where(down, size[0] - y, y)
