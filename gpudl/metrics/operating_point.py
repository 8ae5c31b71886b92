"""Metrics at the best threshold: how good one rate can be where another one is good enough."""

from __future__ import annotations

from typing import Unpack

from gpudl import ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.tensor import Tensor
from gpudl.losses.options import ThresholdsOptions
from gpudl.metrics.confusion import Confusion
from gpudl.utils.checks import require_number, require_whole

__all__ = ["PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity"]

PRECISION = ("true_positives", "false_positives")
RECALL = SENSITIVITY = ("true_positives", "false_negatives")
SPECIFICITY = ("true_negatives", "false_positives")


class _AtLeast(Confusion):
    def __init__(
        self,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DtypeLike = None,
        **least: float,
    ) -> None:
        super().__init__(dtype, name)
        kind = type(self).__name__
        require_number(kind, 0, 1, **least)
        require_whole(kind, 1, num_thresholds=num_thresholds)
        if class_id is not None:
            require_whole(kind, class_id=class_id)
        self.num_thresholds, self.class_id = num_thresholds, class_id
        last = num_thresholds - 1
        self._count_at([i / last for i in range(num_thresholds)] if last else [0.5], last > 0)

    def _best(self, of: tuple[str, str], constrained: tuple[str, str], least: float) -> Tensor:
        """Return the largest share at a threshold where another is not below `least`; 0 where there is none."""
        feasible = self._share(*constrained) >= least
        return ops.max(ops.where(feasible, self._share(*of), 0.0))


class SensitivityAtSpecificity(_AtLeast, options=ThresholdsOptions, numbered=True):
    """The largest share of targets of 1 that are found, at thresholds where enough of the others are left out.

    Args:
        specificity: the share of targets of 0 below the threshold, from 0 to 1, that is enough.
        **options: num_thresholds (200), how many thresholds from 0 to 1 are tried; class_id, the place along the last
            axis that counts alone; name and dtype.

    Raises:
        ValueError: a share that is no number from 0 to 1, a number of thresholds below 1.

    Example:
        >>> float(SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    _direction = "up"

    def __init__(self, specificity: float, **options: Unpack[ThresholdsOptions]) -> None:
        super().__init__(**options, specificity=specificity)
        self.specificity = specificity

    def result(self) -> Tensor:
        """Return the best sensitivity."""
        return self._best(SENSITIVITY, SPECIFICITY, self.specificity)


class SpecificityAtSensitivity(_AtLeast, options=ThresholdsOptions, numbered=True):
    """The largest share of targets of 0 that are left out, at thresholds where enough of the others are found.

    See `SensitivityAtSpecificity` for the arguments.

    Example:
        >>> round(float(SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 4)
        0.6667
    """

    _direction = "up"

    def __init__(self, sensitivity: float, **options: Unpack[ThresholdsOptions]) -> None:
        super().__init__(**options, sensitivity=sensitivity)
        self.sensitivity = sensitivity

    def result(self) -> Tensor:
        """Return the best specificity."""
        return self._best(SPECIFICITY, SENSITIVITY, self.sensitivity)


class PrecisionAtRecall(_AtLeast, options=ThresholdsOptions, numbered=True):
    """The largest precision at thresholds where the recall is enough; see `SensitivityAtSpecificity` for the arguments.

    Example:
        >>> float(PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    _direction = "up"

    def __init__(self, recall: float, **options: Unpack[ThresholdsOptions]) -> None:
        super().__init__(**options, recall=recall)
        self.recall = recall

    def result(self) -> Tensor:
        """Return the best precision."""
        return self._best(PRECISION, RECALL, self.recall)


class RecallAtPrecision(_AtLeast, options=ThresholdsOptions, numbered=True):
    """The largest recall at thresholds where the precision is enough; see `SensitivityAtSpecificity` for the arguments.

    Example:
        >>> float(RecallAtPrecision(0.8)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]))
        0.5
    """

    _direction = "up"

    def __init__(self, precision: float, **options: Unpack[ThresholdsOptions]) -> None:
        super().__init__(**options, precision=precision)
        self.precision = precision

    def result(self) -> Tensor:
        """Return the best recall."""
        return self._best(RECALL, PRECISION, self.precision)
