"""Regression metrics: the means of errors over batches."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.losses.options import AxisMetricOptions, MetricOptions
from gpudl.losses.regression import (
    cosine,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from gpudl.losses.values import pair, single
from gpudl.metrics.reduction import Average, MeanMetricWrapper

__all__ = [
    "CosineSimilarity",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "RootMeanSquaredError",
]


class MeanSquaredError(MeanMetricWrapper, options=MetricOptions):
    """The mean of squared errors.

    Example:
        >>> float(MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
        0.5
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(mean_squared_error, **options)


class MeanAbsoluteError(MeanMetricWrapper, options=MetricOptions):
    """The mean of absolute errors.

    Example:
        >>> float(MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
        0.5
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(mean_absolute_error, **options)


class MeanAbsolutePercentageError(MeanMetricWrapper, options=MetricOptions):
    """The mean of absolute errors, in percent of the targets.

    Example:
        >>> float(MeanAbsolutePercentageError()([[1.0, 2.0]], [[1.0, 4.0]]))
        50.0
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(mean_absolute_percentage_error, **options)


class MeanSquaredLogarithmicError(MeanMetricWrapper, options=MetricOptions):
    """The mean of squared differences of log(1 + x).

    Example:
        >>> round(float(MeanSquaredLogarithmicError()([[0.0, 1.0]], [[0.0, 3.0]])), 4)
        0.2402
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(mean_squared_logarithmic_error, **options)


class LogCoshError(MeanMetricWrapper, options=MetricOptions, name="logcosh"):
    """The mean of log(cosh(error)).

    Example:
        >>> round(float(LogCoshError()([[0.0]], [[1.0]])), 4)
        0.4338
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(log_cosh, **options)


class CosineSimilarity(MeanMetricWrapper, options=AxisMetricOptions):
    """The mean cosine of the angle between targets and predictions along `axis`: 1 for the same direction.

    Example:
        >>> round(float(CosineSimilarity()([[1.0, 0.0]], [[3.0, 4.0]])), 4)
        0.6
    """

    _direction = "up"

    def __init__(self, **options: Unpack[AxisMetricOptions]) -> None:
        super().__init__(cosine, **options)


class RootMeanSquaredError(Average, options=MetricOptions):
    """The square root of the mean of squared errors.

    Example:
        >>> float(RootMeanSquaredError()([[0.0], [0.0]], [[2.0], [2.0]]))
        2.0
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(**options)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Update the metric with one batch of targets and predictions, and weights that broadcast to the errors."""
        t, p = pair(y_true, single(y_pred), "root_mean_squared_error")
        self.add(ops.square(p - t), sample_weight)

    def result(self) -> Tensor:
        """Return the root of the mean."""
        return ops.sqrt(super().result())
