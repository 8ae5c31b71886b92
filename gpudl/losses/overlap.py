"""Losses for how far predicted and true regions overlap, as in the segmentation of images."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper
from gpudl.losses.options import OverlapOptions
from gpudl.losses.values import pair
from gpudl.utils.checks import require_number

__all__ = ["Dice", "Tversky", "dice", "tversky"]

Axis = int | tuple[int, ...] | None


def dice(y_true: ArrayLike, y_pred: ArrayLike, axis: Axis = None) -> Tensor:
    """Return 1 - 2 sum(t * p) / (sum(t) + sum(p)), the sums along `axis`, by default over everything.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> dice([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], axis=1).numpy().round(3)
        array([0.333], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "dice")
    total = ops.sum(t, axis=axis) + ops.sum(p, axis=axis) + config.epsilon()
    return 1.0 - 2.0 * ops.sum(t * p, axis=axis) / total


def tversky(y_true: ArrayLike, y_pred: ArrayLike, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> Tensor:
    """Return 1 - both / (both + alpha * missed + beta * wrong), each a sum along `axis`, by default over everything.

    `both` is the sum of t * p, `missed` that of t * (1 - p), `wrong` that of (1 - t) * p.

    Source: Salehi et al., "Tversky loss function for image segmentation", 2017.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> tversky([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], alpha=1.0, axis=1).numpy().round(3)
        array([0.5], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "tversky")
    overlap = ops.sum(t * p, axis=axis)
    missed, wrong = ops.sum((1.0 - p) * t, axis=axis), ops.sum(p * (1.0 - t), axis=axis)
    return 1.0 - overlap / (overlap + missed * alpha + wrong * beta + config.epsilon())


class Dice(LossFunctionWrapper, options=OverlapOptions):
    """How little of predicted and true regions overlaps; see `dice`.

    Example:
        >>> round(float(Dice()([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])), 4)
        0.3333
    """

    def __init__(self, **options: Unpack[OverlapOptions]) -> None:
        super().__init__(dice, **options)


class Tversky(LossFunctionWrapper, options=OverlapOptions):
    """The same with weights for what was missed and for what is wrong; see `tversky`.

    Example:
        >>> round(float(Tversky(alpha=1.0)([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])), 4)
        0.5
    """

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, **options: Unpack[OverlapOptions]) -> None:
        require_number("Tversky", 0, alpha=alpha, beta=beta)
        super().__init__(tversky, alpha=alpha, beta=beta, **options)
