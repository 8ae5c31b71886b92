"""Hinge metrics: the means of hinge losses over batches."""

from __future__ import annotations

from typing import Unpack

from gpudl.losses import categorical_hinge, hinge, squared_hinge
from gpudl.losses.options import MetricOptions
from gpudl.metrics.reduction import MeanMetricWrapper

__all__ = ["CategoricalHinge", "Hinge", "SquaredHinge"]


class Hinge(MeanMetricWrapper, options=MetricOptions):
    """The mean of max(1 - t * p, 0).

    Example:
        >>> float(Hinge()([[1.0, -1.0]], [[0.5, 0.5]]))
        1.0
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(hinge, **options)


class SquaredHinge(MeanMetricWrapper, options=MetricOptions):
    """The mean of max(1 - t * p, 0)**2.

    Example:
        >>> float(SquaredHinge()([[1.0, -1.0]], [[0.5, 0.5]]))
        1.25
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(squared_hinge, **options)


class CategoricalHinge(MeanMetricWrapper, options=MetricOptions):
    """How far the score of the target lies below the largest of the others, and a margin of 1.

    Example:
        >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.75, 0.25]]))
        1.5
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(categorical_hinge, **options)
