"""Distances between distributions."""

from __future__ import annotations

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper, pair

__all__ = ["KLDivergence", "kl_divergence"]


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
    result: Tensor = ops.sum(t * ops.log(t / p), axis=-1)
    return result


class KLDivergence(LossFunctionWrapper):
    """The Kullback-Leibler divergence of predicted probabilities from the targets.

    Example:
        >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
        0.1438
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)
