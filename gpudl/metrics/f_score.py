"""F-scores: means of precision and recall."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.losses.values import as_dtype
from gpudl.metrics.base import COUNTER, Metric
from gpudl.utils.checks import require_number

__all__ = ["F1Score", "FBetaScore"]

AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """The harmonic mean of precision and recall, the recall weighing `beta` times as much.

    Args:
        average: ``"micro"`` counts all classes together; ``"macro"`` is the mean over the classes, ``"weighted"`` that
            with the targets of each as weights; None gives one score for each.
        beta: what the recall weighs.
        threshold: above which predictions are positive, more than 0 and at most 1; by default the largest of each
            sample is.
        name: for reports.
        dtype: of the results.

    Raises:
        ValueError: an unknown average, a `beta` that is not above 0, a threshold out of range.

    Example:
        >>> FBetaScore(beta=2.0, threshold=0.5)([[1, 1], [1, 0]], [[0.6, 0.2], [0.3, 0.7]]).numpy().round(3)
        array([0.556, 0.   ], dtype=float32)
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(dtype, name)
        kind = type(self).__name__
        if average not in AVERAGES:
            raise ValueError(f"{kind}: average must be one of {', '.join(map(str, AVERAGES))}, got {average!r}.")
        for option, value in (("beta", beta), ("threshold", threshold)):
            if value is not None:
                require_number(kind, 0, 1 if option == "threshold" else np.inf, **{option: value})
                if value == 0:
                    raise ValueError(f"{kind}: {option} must be above 0, got {value!r}.")
        self.average, self.beta, self.threshold = average, beta, threshold
        self._classes: int | None = None

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch of targets, 0 or 1, and predictions (samples, classes), with one weight per sample.

        Raises:
            ShapeError: targets and predictions not of one shape (samples, classes), or weights that do not fit.
        """
        t, p = as_dtype(y_true, self.dtype), as_dtype(y_pred, self.dtype)
        if t.ndim != 2 or t.shape != p.shape or self._classes not in (None, p.shape[1]):
            classes = "classes" if self._classes is None else self._classes
            raise ShapeError(
                f"{type(self).__name__} expected targets and predictions (samples, {classes}), got {t.shape} and "
                f"{p.shape}."
            )
        if self._classes is None:
            self._build(p.shape[1])
        if self.threshold is None:
            chosen = ops.logical_and(p >= ops.max(p, axis=-1, keepdims=True), abs(p) > 1e-9)
        else:
            chosen = p > self.threshold
        p = ops.cast_like(chosen, t)
        weight = None if sample_weight is None else as_dtype(sample_weight, self.dtype)
        if weight is not None and weight.shape not in ((), t.shape[:1]):
            raise ShapeError(f"sample_weight must have one weight per sample, {t.shape[:1]}, got {weight.shape}.")
        for variable, values in (
            (self.true_positives, p * t),
            (self.false_positives, p * (1.0 - t)),
            (self.false_negatives, (1.0 - p) * t),
            (self.intermediate_weights, t),
        ):
            counted = values if weight is None else values * ops.reshape(weight, (-1, 1))
            variable.assign_add(as_dtype(ops.sum(counted, axis=None if self.average == "micro" else 0), COUNTER))

    def _build(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        self.true_positives = self.add_counter("true_positives", shape)
        self.false_positives = self.add_counter("false_positives", shape)
        self.false_negatives = self.add_counter("false_negatives", shape)
        self.intermediate_weights = self.add_counter("intermediate_weights", shape)
        self._classes = classes

    def result(self) -> Tensor:
        """Return the score, or one for each class without an average; 0 before the first batch."""
        if self._classes is None:
            return as_tensor(np.zeros((), self.dtype))
        tiny, tp = config.epsilon(), self.true_positives
        precision = tp / (tp + self.false_positives + tiny)
        recall = tp / (tp + self.false_negatives + tiny)
        score = precision * recall / (precision * self.beta**2 + recall + tiny) * (1 + self.beta**2)
        if self.average == "weighted":
            score = ops.sum(score * (self.intermediate_weights / (ops.sum(self.intermediate_weights) + tiny)))
        elif self.average is not None:
            score = ops.mean(score)
        return as_dtype(score, self.dtype)


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall; see `FBetaScore` for the arguments.

    Example:
        >>> round(float(F1Score(average="micro", threshold=0.5)([[1, 1], [1, 0]], [[0.6, 0.2], [0.3, 0.7]])), 4)
        0.4
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)
