"""Layers that mix the images of a batch, and their labels."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from gpudl import ops, random
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import Shape, ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.image.base import BoxOptions, Drawn, Factor, ImageLayer, per_image, uniform
from gpudl.layers.preprocessing.image.erasing import boxes
from gpudl.layers.preprocessing.image.moved_boxes import parts
from gpudl.random import SeedGenerator
from gpudl.utils.checks import require_number

__all__ = [
    "CutMix",
    "MixUp",
]


class _Mixing(ImageLayer):
    """The base of layers that mix each image with another one of the batch."""

    _keeps_places = False

    def _order(self, count: int, keys: SeedGenerator) -> Tensor:
        return random.shuffle(np.arange(count, dtype=np.int32), seed=keys)

    def transform_labels(self, labels: Tensor, transformation: Drawn | None = None, training: bool = True) -> Tensor:
        """Return the labels of each image and of the other one, weighted as the images."""
        if not transformation:
            return labels
        y, weight, order = as_tensor(labels), transformation["mix_weight"], transformation["permutation_order"]
        single = y.ndim == 1 and order.size == 1
        if y.ndim < 2 and not single:
            raise ShapeError(
                f"{self._who()} mixes labels of shape (batch, classes), got {y.shape}. Make them one-hot before: "
                "ops.one_hot(labels, classes)."
            )
        if single:  # which is mixed with itself
            return y
        y = self._floating(y)
        share = ops.cast_like(ops.reshape(weight, (-1, *(1,) * (y.ndim - 1))), y)
        return share * y + (1.0 - share) * ops.take(y, order, axis=0)


class MixUp(_Mixing):
    """In training, blend each image with another one of the batch, and their labels alike.

    Source: Zhang et al., "mixup: beyond empirical risk minimization", 2018.

    Args:
        alpha: the parameter of the beta distribution of the weights: the larger, the nearer to one half.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible weights.
        **options: those of `Layer`.

    Raises:
        ValueError: alpha is no positive number.
        ShapeError: labels without an axis of classes.

    Example:
        >>> images, labels = np.array([0.0, 1.0]).reshape(2, 1, 1, 1), np.eye(2)
        >>> mixed = gpudl.layers.MixUp(seed=1)({"images": images, "labels": labels}, training=True)
        >>> bool(np.allclose(mixed["images"].numpy().ravel(), mixed["labels"].numpy()[:, 1]))
        True
    """

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        require_number("MixUp", 1e-6, alpha=alpha)
        self.alpha = alpha
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        order = self._order(shape[0], keys)
        weight = random.beta((shape[0],), self.alpha, self.alpha, dtype="float32", seed=keys)
        return {"mix_weight": weight, "permutation_order": order}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        share = ops.cast_like(per_image(drawn["mix_weight"]), x)
        return share * x + (1.0 - share) * ops.take(x, drawn["permutation_order"], axis=0)

    def transform_bounding_boxes(
        self, bounding_boxes: object, transformation: Drawn | None = None, training: bool = True
    ) -> object:
        """Return the boxes and labels of each image, and behind them those of the other one."""
        if not transformation:
            return bounding_boxes
        order = transformation["permutation_order"]
        whole, *both = parts(self._who(), bounding_boxes)
        boxes, labels = (ops.concatenate([part, ops.take(part, order, axis=0)], axis=1) for part in both)
        return {**whole, "boxes": boxes, "labels": labels}

    def transform_segmentation_masks(
        self, segmentation_masks: Tensor, transformation: Drawn | None = None, training: bool = True
    ) -> Tensor:
        """Return masks blended like their images, as floats."""
        return self._transformed(segmentation_masks, training, lambda x: self._changed(x, transformation or {}))


class CutMix(_Mixing):
    """In training, replace a box of each image by that of another one of the batch, and weight their labels by area.

    Source: Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", 2019.

    Args:
        factor: the largest parameter of the beta distribution of the areas, from 0 to 1, or the smallest and the
            largest.
        seed: an integer for reproducible boxes.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        **options: those of `Layer`.

    Raises:
        ValueError: a factor outside of [0, 1].
        ShapeError: labels without an axis of classes.

    Example:
        >>> images = np.zeros((2, 8, 8, 3)) + np.arange(2.0).reshape(2, 1, 1, 1)
        >>> set(np.unique(gpudl.layers.CutMix(seed=1)(images, training=True).numpy()).tolist()) <= {0.0, 1.0}
        True
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[BoxOptions],
    ) -> None:
        super().__init__(data_format=data_format, **options)
        self.factor = self._factor("factor", factor)
        self._seeded(seed)

    def _drawn(self, shape: Shape, keys: SeedGenerator) -> Drawn:
        alpha = uniform(keys, (), self.factor) + 1e-6
        side = ops.sqrt(1.0 - random.beta((shape[0],), alpha, alpha, dtype="float32", seed=keys))
        inside, areas = boxes(keys, shape, side, side)
        order = self._order(shape[0], keys)
        return {"permutation_order": order, "batch_masks": inside, "mix_weight": 1.0 - areas}

    def _changed(self, x: Tensor, drawn: Drawn) -> Tensor:
        return ops.where(drawn["batch_masks"], ops.take(x, drawn["permutation_order"], axis=0), x)
