"""Distances between distributions."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper
from gpudl.losses.options import LossOptions
from gpudl.losses.values import pair

__all__ = ["KLDivergence", "Poisson", "kl_divergence", "poisson"]


def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return sum(t * log(t / p)) along the last axis, t and p kept `config.epsilon` away from 0.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).numpy().round(3)
        array([0.144], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "kl_divergence")
    low = config.epsilon()
    t, p = ops.clip(t, low, 1.0), ops.clip(p, low, 1.0)
    return ops.sum(t * ops.log(t / p), axis=-1)


def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return the mean of p - t * log(p + `config.epsilon`) along the last axis, for counts t and expected counts p.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> poisson([[1.0, 0.0]], [[1.0, 2.0]]).numpy().round(3)
        array([1.5], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "poisson")
    return ops.mean(p - t * ops.log(p + config.epsilon()), axis=-1)


class KLDivergence(LossFunctionWrapper, options=LossOptions):
    """The Kullback-Leibler divergence of predicted probabilities from the targets.

    Example:
        >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
        0.1438
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(kl_divergence, **options)


class Poisson(LossFunctionWrapper, options=LossOptions):
    """The negative logarithm of the likelihood of counts, but for what does not depend on the predictions.

    Example:
        >>> round(float(Poisson()([[1.0, 0.0]], [[1.0, 2.0]])), 4)
        1.5
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(poisson, **options)
