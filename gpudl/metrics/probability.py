"""Metrics for probabilities: the means of cross-entropies over batches; see `gpudl.losses` for the arguments."""

from __future__ import annotations

from typing import Unpack

from gpudl.dtype_policies import DtypeLike
from gpudl.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from gpudl.losses.options import MetricOptions
from gpudl.metrics.reduction import MeanMetricWrapper
from gpudl.utils.checks import require_number, require_whole

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "KLDivergence",
    "Poisson",
    "SparseCategoricalCrossentropy",
]


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of yes-or-no targets.

    Example:
        >>> round(float(BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: DtypeLike = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        require_number("BinaryCrossentropy", 0, 1, label_smoothing=label_smoothing)
        super().__init__(binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of one-hot targets.

    Example:
        >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: DtypeLike = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        require_number("CategoricalCrossentropy", 0, 1, label_smoothing=label_smoothing)
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, name, dtype, **options)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of class labels.

    As in Keras an ignored label is left out of the count only where there are weights.

    Example:
        >>> round(float(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
        0.6931
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: DtypeLike = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        if ignore_class is not None:
            require_whole("SparseCategoricalCrossentropy", ignore_class=ignore_class)
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, name, dtype, **options)


class KLDivergence(MeanMetricWrapper, options=MetricOptions):
    """The mean Kullback-Leibler divergence of predicted probabilities from the targets.

    Example:
        >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
        0.1438
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(kl_divergence, **options)


class Poisson(MeanMetricWrapper, options=MetricOptions):
    """The mean negative logarithm of the likelihood of counts, but for what does not depend on the predictions.

    Example:
        >>> round(float(Poisson()([[1.0, 0.0]], [[1.0, 2.0]])), 4)
        1.5
    """

    _direction = "down"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(poisson, **options)
