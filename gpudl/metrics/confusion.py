"""Metrics of yes-or-no decisions: true and false positives and negatives, and rates of them.

A score is positive when it lies above a threshold. The counts are kept for each threshold, so that they can be added up
over batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.losses.values import as_dtype
from gpudl.metrics.base import COUNTER, Metric
from gpudl.metrics.thresholds import NEVER, above, compared, evenly_spaced, thresholds_of
from gpudl.utils.checks import require_whole

__all__ = [
    "FalseNegatives",
    "FalsePositives",
    "Precision",
    "Recall",
    "TrueNegatives",
    "TruePositives",
]

KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")
Thresholds = float | Sequence[float] | None


class Confusion(Metric):
    """The base of metrics that count decisions at thresholds."""

    counted: ClassVar[tuple[str, ...]] = KINDS
    """Which of `KINDS` are counted, each in a variable of that name."""

    thresholds: list[float]
    _given: Thresholds = None  # as the constructor got them
    class_id: int | None = None
    top_k: int | None = None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        config = super().get_config()
        return {**config, **({"thresholds": self._given} if "thresholds" in config else {})}

    def _count_at(self, thresholds: list[float], even: bool, labels: tuple[int, ...] = ()) -> None:
        self.thresholds = thresholds
        self._even = even
        for kind in self.counted:
            setattr(self, kind, self.add_counter(self._called(kind), (len(thresholds), *labels)))

    def _called(self, kind: str) -> str:
        return kind

    def _add(self, t: Tensor, p: Tensor, weight: Tensor | None) -> None:
        for kind, added in zip(KINDS, above(self.thresholds, self._even, t, p, weight), strict=True):
            if kind in self.counted:
                self._of(kind).assign_add(as_dtype(added, COUNTER))

    def _of(self, kind: str) -> Variable:
        variable: Variable = getattr(self, kind)
        return variable

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch of targets, 0 or 1, and scores from 0 to 1, with weights per sample or per score."""
        name = type(self).__name__
        self._add_all(*compared(name, y_true, y_pred, sample_weight, self.top_k, self.class_id))

    def _add_all(self, t: Tensor, p: Tensor, weight: Tensor | None) -> None:
        """Count targets and scores of any shape together."""
        self._add(ops.reshape(t, -1), ops.reshape(p, -1), None if weight is None else ops.reshape(weight, -1))

    def _share(self, kind: str, other: str) -> Tensor:
        """Return the share of one kind among two, and 0 where there is neither."""
        return as_dtype(ops.divide_no_nan(self._of(kind), self._of(kind) + self._of(other)), self.dtype)

    def _each(self, values: Tensor) -> Tensor:
        """Return the value for the only threshold, or those for each."""
        return values[0] if len(self.thresholds) == 1 else values


class _Count(Confusion):
    def __init__(self, thresholds: Thresholds = None, name: str | None = None, dtype: DtypeLike = None) -> None:
        super().__init__(dtype, name)
        self._given = thresholds
        listed = thresholds_of(type(self).__name__, thresholds, 0.5)
        self._count_at(listed, evenly_spaced(listed))

    def _called(self, kind: str) -> str:
        return "accumulator"

    def result(self) -> Tensor:
        """Return the count, or one for each threshold."""
        return self._each(as_dtype(self._of(self.counted[0]), self.dtype))


class TruePositives(_Count):
    """How many targets of 1 have a score above the threshold.

    Args:
        thresholds: from 0 to 1, one or several; 0.5 by default.
        name: for reports.
        dtype: of the results.

    Raises:
        ValueError: thresholds that are no numbers from 0 to 1.

    Example:
        >>> float(TruePositives()([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.1]))
        2.0
    """

    counted = ("true_positives",)


class FalsePositives(_Count):
    """How many targets of 0 have a score above the threshold; see `TruePositives` for the arguments.

    Example:
        >>> FalsePositives([0.5, 0.95])([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.1]).numpy()
        array([1., 0.], dtype=float32)
    """

    counted = ("false_positives",)


class TrueNegatives(_Count):
    """How many targets of 0 have no score above the threshold; see `TruePositives` for the arguments.

    Example:
        >>> float(TrueNegatives()([0, 0, 1], [0.9, 0.2, 0.1]))
        1.0
    """

    counted = ("true_negatives",)


class FalseNegatives(_Count):
    """How many targets of 1 have no score above the threshold; see `TruePositives` for the arguments.

    Example:
        >>> float(FalseNegatives()([0, 0, 1], [0.9, 0.2, 0.1]))
        1.0
    """

    counted = ("false_negatives",)


class _Rate(Confusion):
    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(dtype, name)
        kind = type(self).__name__
        if top_k is not None:
            require_whole(kind, 1, top_k=top_k)
        if class_id is not None:
            require_whole(kind, class_id=class_id)
        self.top_k, self.class_id, self._given = top_k, class_id, thresholds
        listed = thresholds_of(kind, thresholds, 0.5 if top_k is None else NEVER)
        self._count_at(listed, evenly_spaced(listed))

    def result(self) -> Tensor:
        """Return the rate, or one for each threshold; 0 where there is nothing to divide by."""
        return self._each(self._share(*self.counted))


class Precision(_Rate):
    """The share of true positives among the positives.

    Args:
        thresholds: from 0 to 1, one or several, above which a score is positive; 0.5 by default, none with `top_k`.
        top_k: how many of the highest scores along the last axis can be positive.
        class_id: the place along the last axis that counts alone.
        name: for reports.
        dtype: of the results.

    Raises:
        ValueError: thresholds that are no numbers from 0 to 1, a class that the predictions do not have.

    Example:
        >>> round(float(Precision()([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.1])), 4)
        0.6667
    """

    _direction = "up"

    counted = ("true_positives", "false_positives")


class Recall(_Rate):
    """The share of true positives among the targets of 1; see `Precision` for the arguments.

    Example:
        >>> float(Recall(top_k=1)([[0, 1], [1, 0]], [[0.2, 0.1], [0.7, 0.6]]))
        0.5
    """

    _direction = "up"

    counted = ("true_positives", "false_negatives")
