"""Hinge losses: predictions on the right side of a margin cost nothing."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper
from gpudl.losses.options import LossOptions
from gpudl.losses.values import pair

__all__ = ["CategoricalHinge", "Hinge", "SquaredHinge", "categorical_hinge", "hinge", "squared_hinge"]


def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return the mean along the last axis of max(1 - t * p, 0), for targets t of -1 and 1, or all of 0 and 1.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> hinge([[1.0, -1.0]], [[0.5, 0.5]]).numpy()
        array([1.], dtype=float32)
    """
    return ops.mean(_beyond_margin(y_true, y_pred, "hinge"), axis=-1)


def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return the mean along the last axis of max(1 - t * p, 0)**2, for targets t of -1 and 1, or all of 0 and 1.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> squared_hinge([[1.0, -1.0]], [[0.5, 0.5]]).numpy()
        array([1.25], dtype=float32)
    """
    return ops.mean(ops.square(_beyond_margin(y_true, y_pred, "squared_hinge")), axis=-1)


def _beyond_margin(y_true: ArrayLike, y_pred: ArrayLike, name: str) -> Tensor:
    t, p = pair(y_true, y_pred, name)
    binary = ops.all(ops.logical_or(ops.equal(t, 0.0), ops.equal(t, 1.0)))
    return ops.maximum(1.0 - ops.where(binary, t * 2.0 - 1.0, t) * p, 0.0)


def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return max(n - p + 1, 0), p being the score of the one-hot target and n the largest of the others.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> categorical_hinge([[0.0, 1.0]], [[0.75, 0.25]]).numpy()
        array([1.5], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "categorical_hinge")
    return ops.maximum(ops.max((1.0 - t) * p, axis=-1) - ops.sum(t * p, axis=-1) + 1.0, 0.0)


class Hinge(LossFunctionWrapper, options=LossOptions):
    """The mean of max(1 - t * p, 0).

    Example:
        >>> float(Hinge()([[1.0, -1.0]], [[0.5, 0.5]]))
        1.0
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(hinge, **options)


class SquaredHinge(LossFunctionWrapper, options=LossOptions):
    """The mean of max(1 - t * p, 0)**2.

    Example:
        >>> float(SquaredHinge()([[1.0, -1.0]], [[0.5, 0.5]]))
        1.25
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(squared_hinge, **options)


class CategoricalHinge(LossFunctionWrapper, options=LossOptions):
    """How far the score of the target lies below the largest of the others, and a margin of 1.

    Example:
        >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.75, 0.25]]))
        1.5
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(categorical_hinge, **options)
