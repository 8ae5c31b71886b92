"""Correlations of targets and predictions."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.tensor import Tensor
from gpudl.losses.options import AxisMetricOptions
from gpudl.losses.values import pair
from gpudl.metrics.reduction import MeanMetricWrapper

__all__ = ["ConcordanceCorrelation", "PearsonCorrelation", "concordance_correlation", "pearson_correlation"]


def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Tensor:
    """Return the covariance of targets and predictions along `axis` over the product of their standard deviations.

    Returns:
        From -1 to 1; NaN where one of them is constant.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> pearson_correlation([[0.0, 1.0, 2.0]], [[5.0, 7.0, 9.0]]).numpy().round(3)
        array([1.], dtype=float32)
    """
    t, p = (_centred(x, axis) for x in pair(y_true, y_pred, "pearson_correlation"))
    t, p = (x / ops.sqrt(ops.mean(ops.square(x), axis=axis, keepdims=True)) for x in (t, p))
    return ops.mean(t * p, axis=axis)


def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Tensor:
    """Return twice the covariance over the sum of the variances and the squared difference of the means, along `axis`.

    It is 1 only where predictions equal targets, not where they only follow them.

    Source: Lin, "A concordance correlation coefficient to evaluate reproducibility", 1989.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> concordance_correlation([[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]]).numpy().round(3)
        array([0.571], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "concordance_correlation")
    from_t, from_p = _centred(t, axis), _centred(p, axis)
    apart = ops.square(ops.mean(t, axis=axis, keepdims=True) - ops.mean(p, axis=axis, keepdims=True))
    spread = ops.mean(ops.square(from_t) + ops.square(from_p), axis=axis, keepdims=True)
    return ops.mean(from_t * from_p * 2.0 / (spread + apart + config.epsilon()), axis=axis)


def _centred(x: Tensor, axis: int) -> Tensor:
    return x - ops.mean(x, axis=axis, keepdims=True)


class PearsonCorrelation(MeanMetricWrapper, options=AxisMetricOptions):
    """The mean over samples of the correlation along `axis`.

    Example:
        >>> round(float(PearsonCorrelation()([[0.0, 1.0, 2.0]], [[5.0, 7.0, 9.0]])), 4)
        1.0
    """

    _direction = "up"

    def __init__(self, **options: Unpack[AxisMetricOptions]) -> None:
        super().__init__(pearson_correlation, **options)


class ConcordanceCorrelation(MeanMetricWrapper, options=AxisMetricOptions):
    """The mean over samples of the concordance along `axis`: how far predictions equal targets.

    Example:
        >>> round(float(ConcordanceCorrelation()([[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]])), 4)
        0.5714
    """

    _direction = "up"

    def __init__(self, **options: Unpack[AxisMetricOptions]) -> None:
        super().__init__(concordance_correlation, **options)
