"""The area under a curve of rates over thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.losses.values import as_dtype
from gpudl.metrics.confusion import Confusion
from gpudl.metrics.thresholds import compared, evenly_spaced, thresholds_of
from gpudl.utils.checks import require_whole

__all__ = ["AUC"]

CURVES = ("ROC", "PR", "PRGAIN")
METHODS = ("interpolation", "minoring", "majoring")


class AUC(Confusion):
    """The area under the ROC or the precision-recall curve, between points at fixed thresholds.

    Source: Davis and Goadrich, "The relationship between precision-recall and ROC curves", 2006, for the interpolation
    of precision; Flach and Kull, "Precision-recall-gain curves", 2015.

    Args:
        num_thresholds: how many points the curve has, evenly spaced thresholds from 0 to 1.
        curve: ``"ROC"``, ``"PR"`` or ``"PRGAIN"``.
        summation_method: what the height between two points is: ``"interpolation"``, ``"minoring"`` (the lower of them)
            or ``"majoring"`` (the higher).
        name: for reports.
        dtype: of the results.
        thresholds: numbers from 0 to 1 in place of evenly spaced ones; the ends are added.
        multi_label: whether each column of the predictions has a curve of its own; the result is their mean.
        num_labels: how many columns there are; by default those of the first batch.
        label_weights: what each column counts.
        from_logits: whether the predictions are logits.

    Raises:
        ValueError: an unknown curve or method, thresholds out of range, fewer than two of them, `num_labels` without
            `multi_label`.

    Example:
        >>> float(AUC(num_thresholds=3)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]))
        0.75
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: DtypeLike = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        if str(curve).upper() not in CURVES or str(summation_method).lower() not in METHODS:
            raise ValueError(
                f"AUC: curve must be one of {', '.join(CURVES)}, and summation_method one of {', '.join(METHODS)}, got "
                f"{curve!r} and {summation_method!r}."
            )
        if num_labels is not None and not multi_label:
            raise ValueError(f"AUC: num_labels={num_labels!r} is for multi_label=True only. Leave it out.")
        if thresholds is None:
            require_whole("AUC", 2, num_thresholds=num_thresholds)
            inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
        else:
            inner = sorted(thresholds_of("AUC", thresholds, 0.5))
        self._given = None if thresholds is None else inner
        self.num_thresholds = len(inner) + 2
        self.curve, self.summation_method = str(curve).upper(), str(summation_method).lower()
        self.multi_label, self.num_labels, self.from_logits = multi_label, num_labels, from_logits
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]
        self._columns: int | None = None
        self._even = thresholds is None or evenly_spaced([0.0, *inner, 1.0])
        self.thresholds = [-config.epsilon(), *inner, 1 + config.epsilon()]
        if not multi_label:
            self._count_at(self.thresholds, self._even)
        elif num_labels is not None:
            self._build(num_labels)

    def _build(self, columns: int) -> None:
        self._columns = columns
        self._count_at(self.thresholds, self._even, (columns,))

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch of targets, 0 or 1, and predictions, with weights per sample or per prediction.

        Raises:
            ShapeError: with `multi_label`, predictions that are not (samples, labels) as before.
        """
        p = as_tensor(y_pred)
        t, p, weight = compared("AUC", y_true, ops.sigmoid(p) if self.from_logits else p, sample_weight)
        if self.multi_label:
            if p.ndim != 2 or self._columns not in (None, p.shape[1]):
                labels = "labels" if self._columns is None else self._columns
                raise ShapeError(f"AUC with multi_label=True expected predictions (samples, {labels}), got {p.shape}.")
            if self._columns is None:
                self._build(p.shape[1])
            self._add(t, p, weight)
            return
        if self.label_weights is not None:
            labelled = ops.broadcast_to(np.array(self.label_weights, p.dtype), p.shape)
            weight = labelled if weight is None else weight * labelled
        self._add_all(t, p, weight)

    def result(self) -> Tensor:
        """Return the area; 0 before the first sample."""
        if self.multi_label and self._columns is None:
            return as_tensor(np.zeros((), self.dtype))
        if (self.curve, self.summation_method) == ("PR", "interpolation"):
            pieces = self._precision_pieces()
        else:
            x, y = self._points()
            pieces = (x[:-1] - x[1:]) * self._heights(y[:-1], y[1:])
        areas = ops.sum(pieces, axis=0)
        if self.multi_label and self.label_weights is not None:
            weights = np.array(self.label_weights, pieces.dtype)
            areas = ops.divide_no_nan(ops.sum(areas * weights), float(weights.sum()))
        return as_dtype(ops.mean(areas), self.dtype)

    def _heights(self, left: Tensor, right: Tensor) -> Tensor:
        if self.summation_method == "interpolation":
            return (left + right) / 2.0
        return (ops.minimum if self.summation_method == "minoring" else ops.maximum)(left, right)

    def _points(self) -> tuple[Tensor, Tensor]:
        """Return the curve from the lowest threshold to the highest, along the axis and in height."""
        tp, fp, tn, fn = (self._of(kind) for kind in self.counted)
        share = ops.divide_no_nan
        if self.curve == "ROC":
            return share(fp, fp + tn), share(tp, tp + fn)
        if self.curve == "PR":
            return share(tp, tp + fn), share(tp, tp + fp)
        odds, found = share(tp + fn, tn + fp), ops.greater(tp, 0.0)
        recall_gain = ops.where(found, 1.0 - odds * share(fn, tp), 0.0)
        return ops.maximum(recall_gain, 0.0), ops.where(found, 1.0 - odds * share(fp, tp), 1.0)

    def _precision_pieces(self) -> Tensor:
        """Return the areas between points of the precision-recall curve, true positives growing as positives do."""
        tp, fp, _, fn = (self._of(kind) for kind in self.counted)
        positives = tp + fp
        new, low, high = tp[:-1] - tp[1:], positives[1:], positives[:-1]
        slope = ops.divide_no_nan(new, ops.maximum(high - low, 0.0))
        intercept = tp[1:] - slope * low
        both = ops.logical_and(ops.greater(high, 0.0), ops.greater(low, 0.0))
        ratio = ops.where(both, ops.divide_no_nan(high, ops.maximum(low, 0.0)), 1.0)
        area = slope * (new + intercept * ops.log(ratio))
        return ops.divide_no_nan(area, ops.maximum(tp[1:] + fn[1:], 0.0))
