"""Regression metrics: the means of errors over batches."""

from __future__ import annotations

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import pair, single
from gpudl.losses.regression import mean_absolute_error, mean_squared_error
from gpudl.metrics.base import Average, MeanMetricWrapper

__all__ = [
    "MeanAbsoluteError",
    "MeanSquaredError",
    "RootMeanSquaredError",
]


class MeanSquaredError(MeanMetricWrapper):
    """The mean of squared errors.

    Example:
        >>> float(MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
        0.5
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: DtypeLike = None) -> None:
        super().__init__(mean_squared_error, name, dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of absolute errors.

    Example:
        >>> float(MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
        0.5
    """

    def __init__(self, name: str | None = "mean_absolute_error", dtype: DtypeLike = None) -> None:
        super().__init__(mean_absolute_error, name, dtype)


class RootMeanSquaredError(Average):
    """The square root of the mean of squared errors.

    Example:
        >>> float(RootMeanSquaredError()([[0.0], [0.0]], [[2.0], [2.0]]))
        2.0
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: DtypeLike = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Update the metric with one batch of targets and predictions, and weights that broadcast to the errors."""
        y_true, y_pred = pair(y_true, single(y_pred), "root_mean_squared_error")
        self.add(ops.square(y_pred - y_true), sample_weight)

    def result(self) -> Tensor:
        """Return the root of the mean."""
        root: Tensor = ops.sqrt(super().result())
        return root
