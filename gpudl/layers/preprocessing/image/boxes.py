"""Layers for boxes around objects."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.image.base import Drawn, ImageLayer, ImageOptions
from gpudl.layers.preprocessing.image.moved_boxes import parts
from gpudl.utils.checks import positive

__all__ = [
    "MaxNumBoundingBoxes",
]


class MaxNumBoundingBoxes(ImageLayer):
    """Give all images the same number of bounding boxes: leave out the last ones, or add empty ones.

    Args:
        max_number: the number.
        fill_value: the coordinates and the label of those that are added.
        **options: those of `Layer`.

    Raises:
        ValueError: a number that is not positive.

    Example:
        >>> boxes = {"boxes": np.zeros((1, 2, 4)), "labels": np.zeros((1, 2))}
        >>> layer = gpudl.layers.MaxNumBoundingBoxes(3)
        >>> found = layer({"images": np.zeros((1, 8, 8, 3)), "bounding_boxes": boxes})["bounding_boxes"]
        >>> found["boxes"].shape, found["labels"].numpy()
        ((1, 3, 4), array([[ 0.,  0., -1.]], dtype=float32))
    """

    _always = _keeps_dtype = True

    def __init__(self, max_number: int, fill_value: int = -1, **options: Unpack[ImageOptions]) -> None:
        super().__init__(**options)
        self.max_number = positive("MaxNumBoundingBoxes", max_number=max_number)
        self.fill_value = int(fill_value)

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return x

    def transform_bounding_boxes(
        self, bounding_boxes: object, transformation: Drawn | None = None, training: bool = True
    ) -> object:
        """Return a dict of boxes (..., number, 4) and labels (..., number)."""
        whole, boxes, labels = parts(self._who(), bounding_boxes)
        return {**whole, "boxes": self._filled(boxes, -2), "labels": self._filled(labels, -1)}

    def _filled(self, x: Tensor, axis: int) -> Tensor:
        kept = x[..., : self.max_number, :] if axis == -2 else x[..., : self.max_number]
        missing = self.max_number - kept.shape[axis]
        if missing == 0:
            return kept
        shape = list(kept.shape)
        shape[axis] = missing
        return ops.concatenate([kept, np.full(shape, self.fill_value, x.dtype)], axis=axis)
