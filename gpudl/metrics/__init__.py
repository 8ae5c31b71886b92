"""Metrics: quantities accumulated over batches, on the device, inside the training step.

Names, arguments and results are those of ``keras.metrics``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpudl import losses
from gpudl.engine.spec import Spec
from gpudl.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from gpudl.metrics import (
    accuracy_metrics,
    auc,
    base,
    confusion,
    correlation,
    f_score,
    iou,
    margin,
    operating_point,
    probability,
    r2_score,
    reduction,
    regression,
)
from gpudl.metrics.accuracy_metrics import *  # noqa: F403
from gpudl.metrics.auc import *  # noqa: F403
from gpudl.metrics.base import *  # noqa: F403
from gpudl.metrics.base import FUNCTIONS, METRICS, Metric
from gpudl.metrics.confusion import *  # noqa: F403
from gpudl.metrics.correlation import *  # noqa: F403
from gpudl.metrics.f_score import *  # noqa: F403
from gpudl.metrics.iou import *  # noqa: F403
from gpudl.metrics.margin import *  # noqa: F403
from gpudl.metrics.operating_point import *  # noqa: F403
from gpudl.metrics.probability import *  # noqa: F403
from gpudl.metrics.r2_score import *  # noqa: F403
from gpudl.metrics.reduction import *  # noqa: F403
from gpudl.metrics.reduction import MeanMetricWrapper
from gpudl.metrics.regression import *  # noqa: F403
from gpudl.names import export

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "resolve_accuracy",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]
export(
    globals(),
    accuracy_metrics,
    auc,
    base,
    confusion,
    correlation,
    f_score,
    iou,
    margin,
    operating_point,
    probability,
    r2_score,
    reduction,
    regression,
)

_FAMILIES = (
    accuracy_metrics,
    auc,
    base,
    confusion,
    correlation,
    f_score,
    iou,
    margin,
    operating_point,
    probability,
    r2_score,
    reduction,
    regression,
)
# A name is that of a class; that of a function only in the config of a MeanMetricWrapper.
METRICS.add(*map(vars, _FAMILIES), functions=False)
METRICS.alias(bce="BinaryCrossentropy", mae="MeanAbsoluteError", mse="MeanSquaredError")
METRICS.alias(mape="MeanAbsolutePercentageError", msle="MeanSquaredLogarithmicError")
get, serialize, deserialize = METRICS.get, METRICS.serializer("metric"), METRICS.deserialize

_ACCURACIES: Mapping[str, type[Metric]] = {
    "binary": accuracy_metrics.BinaryAccuracy,
    "sparse_categorical": accuracy_metrics.SparseCategoricalAccuracy,
    "categorical": accuracy_metrics.CategoricalAccuracy,
}
_CROSSENTROPIES: Mapping[str, Any] = {
    "binary": probability.BinaryCrossentropy,
    "sparse_categorical": probability.SparseCategoricalCrossentropy,
    "categorical": probability.CategoricalCrossentropy,
}


def resolve_accuracy(identifier: Any, y_true_spec: Spec, y_pred_spec: Spec, loss: Any = None) -> Metric:
    """Return the `Metric` that an entry of ``compile(metrics=[...])`` means for targets and predictions.

    ``"accuracy"`` and ``"acc"`` mean the binary, categorical or sparse accuracy, ``"crossentropy"`` and ``"ce"``
    the cross-entropy of that kind, by the shapes. Everything else is what `get` makes of it, a function wrapped
    in a `MeanMetricWrapper`. A metric given by name is reported by that very name.

    Args:
        identifier: a name, a metric, a function, a config.
        y_true_spec: shape and dtype of the targets.
        y_pred_spec: shape and dtype of the predictions.
        loss: the loss of the model; a cross-entropy takes ``from_logits`` from it.

    Raises:
        ValueError: an unknown name, or None.

    Example:
        >>> import numpy as np
        >>> labels, scores = Spec((32,), np.dtype("uint8")), Spec((32, 10), np.dtype("float32"))
        >>> resolve_accuracy("acc", labels, scores)
        <SparseCategoricalAccuracy name=acc>
    """
    kind = losses.kind_of_targets(y_true_spec, y_pred_spec)
    word = identifier.lower() if isinstance(identifier, str) else None
    if word in ("accuracy", "acc"):
        metric = _ACCURACIES[kind]()
    elif word in ("crossentropy", "ce"):
        metric = _CROSSENTROPIES[kind](from_logits=getattr(loss, "from_logits", False))
    else:
        metric = get(identifier)
    if metric is None:
        raise ValueError("a metric is a name, a Metric or a function, got None. Leave it out of the list.")
    if not isinstance(metric, Metric):
        metric = MeanMetricWrapper(metric, name=getattr(metric, "__name__", None))
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


FUNCTIONS.add(globals())
