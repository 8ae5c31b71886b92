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
    categorical_crossentropy,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from gpudl.metrics import accuracy_metrics, base, crossentropy, regression
from gpudl.metrics.accuracy_metrics import *  # noqa: F403
from gpudl.metrics.base import *  # noqa: F403
from gpudl.metrics.base import FUNCTIONS, METRICS, MeanMetricWrapper, Metric
from gpudl.metrics.crossentropy import *  # noqa: F403
from gpudl.metrics.regression import *  # noqa: F403

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "resolve_accuracy",
    "serialize",
    "sparse_categorical_crossentropy",
]
__all__ += accuracy_metrics.__all__
__all__ += base.__all__
__all__ += crossentropy.__all__
__all__ += regression.__all__

# A name is that of a class; that of a function only in the config of a MeanMetricWrapper.
METRICS.add(*map(vars, (accuracy_metrics, base, crossentropy, regression)), functions=False)
METRICS.alias(bce="BinaryCrossentropy", mae="MeanAbsoluteError", mse="MeanSquaredError")
get, serialize, deserialize = METRICS.get, METRICS.serialize, METRICS.deserialize

_ACCURACIES: Mapping[str, type[Metric]] = {
    "binary": accuracy_metrics.BinaryAccuracy,
    "sparse_categorical": accuracy_metrics.SparseCategoricalAccuracy,
    "categorical": accuracy_metrics.CategoricalAccuracy,
}
_CROSSENTROPIES: Mapping[str, Any] = {
    "binary": crossentropy.BinaryCrossentropy,
    "sparse_categorical": crossentropy.SparseCategoricalCrossentropy,
    "categorical": crossentropy.CategoricalCrossentropy,
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
