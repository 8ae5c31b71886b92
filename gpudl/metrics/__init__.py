"""Metrics: quantities gathered over batches, on the device, inside the training step.

Names, arguments and results are those of ``keras.metrics``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpudl import losses, registry
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
from gpudl.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from gpudl.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from gpudl.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
)
from gpudl.metrics.regression import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "KLDivergence",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "Sum",
    "TopKCategoricalAccuracy",
    "accuracy",
    "binary_accuracy",
    "binary_crossentropy",
    "categorical_accuracy",
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
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]

# The functions that a `MeanMetricWrapper` can be made of, for its config.
FUNCTIONS: Mapping[str, Any] = registry.names(
    *(accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy),
    *(top_k_categorical_accuracy, sparse_top_k_categorical_accuracy),
    *(binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy, kl_divergence),
    *(mean_squared_error, mean_absolute_error, huber, log_cosh),
)
_TABLE: Mapping[str, Any] = {
    **registry.names(Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy),
    **registry.names(TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy),
    **registry.names(BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy, KLDivergence),
    **registry.names(MeanSquaredError, RootMeanSquaredError, MeanAbsoluteError),
    **registry.names(Mean, Sum, MeanMetricWrapper),
    "bce": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "mse": MeanSquaredError,
}


def get(identifier: Any) -> Any:
    """Return the metric that `identifier` stands for.

    Args:
        identifier: a name such as ``"mse"`` or ``"MeanSquaredError"`` (both give an object), a config dict, a
            class, a function, an object, or None, which is returned as it is.

    Raises:
        ValueError: an unknown name; the text offers the nearest one.
        TypeError: something that cannot be a metric.

    Example:
        >>> get("mse").name
        'mean_squared_error'
    """
    return registry.lookup("metric", identifier, _TABLE)


def serialize(metric: Any) -> Any:
    """Return a metric as plain data: a function by name, an object as a dict.

    Example:
        >>> serialize(BinaryAccuracy(threshold=0.25))["config"]["threshold"]
        0.25
    """
    return registry.serialize(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the metric that `serialize` described; `custom_objects` adds functions and classes by name.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> deserialize(serialize(BinaryAccuracy(threshold=0.25))).threshold
        0.25
    """
    return registry.lookup("metric", config, {**_TABLE, **(custom_objects or {})})


_ACCURACIES: Mapping[str, type[Metric]] = {
    "binary": BinaryAccuracy,
    "sparse_categorical": SparseCategoricalAccuracy,
    "categorical": CategoricalAccuracy,
}
_CROSSENTROPIES: Mapping[str, Any] = {
    "binary": BinaryCrossentropy,
    "sparse_categorical": SparseCategoricalCrossentropy,
    "categorical": CategoricalCrossentropy,
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
