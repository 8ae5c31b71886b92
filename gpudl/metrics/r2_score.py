"""How much of the variance of targets predictions explain."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.state import state, warn_user
from gpudl.engine.tensor import Tensor
from gpudl.losses.values import as_dtype, same_rank
from gpudl.metrics.base import COUNTER, Metric
from gpudl.metrics.thresholds import weights_of
from gpudl.utils.checks import require_whole

__all__ = ["R2Score"]

AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """The coefficient of determination: 1 for perfect predictions, 0 for those that are no better than the mean.

    Args:
        class_aggregation: ``"uniform_average"`` is the mean over the outputs, ``"variance_weighted_average"`` that with
            their variances as weights; None gives one score for each.
        num_regressors: how many features the predictions are made from, for the adjusted score; 0 for the plain one.
        name: for reports.
        dtype: of the results.

    Raises:
        ValueError: an unknown aggregation, a number of regressors below 0.

    Example:
        >>> round(float(R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])), 4)
        0.5714
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in AGGREGATIONS:
            raise ValueError(
                f"R2Score: class_aggregation must be one of {', '.join(map(str, AGGREGATIONS))}, got "
                f"{class_aggregation!r}."
            )
        require_whole("R2Score", 0, num_regressors=num_regressors)
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_counter("num_samples")
        self._outputs: int | None = None

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch of targets and predictions (samples, outputs), with weights per sample or per output.

        Raises:
            ShapeError: targets and predictions not of one shape (samples, outputs), or weights that do not fit.
        """
        t, p = same_rank(as_dtype(y_true, self.dtype), as_dtype(y_pred, self.dtype))
        if t.ndim != 2 or t.shape != p.shape or self._outputs not in (None, p.shape[1]):
            outputs = "outputs" if self._outputs is None else self._outputs
            raise ShapeError(
                f"R2Score expected targets and predictions (samples, {outputs}), got {t.shape} and {p.shape}."
            )
        if self._outputs is None:
            self._build(p.shape[1])
        weight = weights_of(sample_weight, t)
        weight = ops.ones_like(t) if weight is None else weight
        for variable, values in (
            (self.sum, t * weight),
            (self.squared_sum, t * t * weight),
            (self.total_mse, ops.square(t - p) * weight),
            (self.count, weight),
        ):
            variable.assign_add(as_dtype(ops.sum(values, axis=0), COUNTER))
        self.num_samples.assign_add(float(t.size))

    def _build(self, outputs: int) -> None:
        self.squared_sum = self.add_counter("squared_sum", (outputs,))
        self.sum = self.add_counter("sum", (outputs,))
        self.total_mse = self.add_counter("residual", (outputs,))
        self.count = self.add_counter("count", (outputs,))
        self._outputs = outputs

    def result(self) -> Tensor:
        """Return the score, or one for each output without aggregation; 0 without data, and for constant targets.

        With as many regressors as samples or more it is not adjusted, with a warning outside of recorded steps.
        """
        if self._outputs is None:
            return as_tensor(np.zeros((), self.dtype))
        total = self.squared_sum - self.sum * ops.divide_no_nan(self.sum, self.count)
        constant = ops.equal(total, 0.0)
        scores: Tensor = ops.where(constant, 0.0, 1.0 - self.total_mse / ops.where(constant, 1.0, total))
        if self.class_aggregation == "uniform_average":
            scores = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = ops.divide_no_nan(ops.sum(total * scores), ops.sum(total))
        if self.num_regressors:
            scores = self._adjusted(scores)
        return as_dtype(scores, self.dtype)

    def _adjusted(self, scores: Tensor) -> Tensor:
        freedom = self.num_samples - 1.0 - float(self.num_regressors)
        enough = freedom > 0.0
        if state.recorder is None and not state.symbolic and not enough.item():
            warn_user(
                f"R2Score: {self.num_regressors} regressors are too many for {self.num_samples.item():g} values, so "
                "the score is not adjusted. Take more samples, or fewer regressors.",
            )
        adjusted = 1.0 - (1.0 - scores) * (self.num_samples - 1.0) / ops.where(enough, freedom, 1.0)
        return ops.where(enough, adjusted, scores)
