"""Losses: functions that give one loss per sample, and classes that weight and reduce them.

Names, arguments and results are those of ``keras.losses``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpudl import registry
from gpudl.engine.spec import Spec
from gpudl.losses.base import Loss, LossFunctionWrapper
from gpudl.losses.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    sparse_categorical_crossentropy,
)
from gpudl.losses.regression import (
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_squared_error,
)

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "huber",
    "kind_of_targets",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "resolve",
    "serialize",
    "sparse_categorical_crossentropy",
]

_CLASSES = (
    *(BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy, KLDivergence),
    *(MeanSquaredError, MeanAbsoluteError, Huber, LogCosh, LossFunctionWrapper),
)
# "Huber" is the class, "huber" the function: names in small letters mean functions where there is one.
_TABLE: Mapping[str, Any] = {
    **{c.__name__: c for c in _CLASSES},
    **registry.names(*_CLASSES),
    **registry.names(binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy),
    **registry.names(kl_divergence, mean_squared_error, mean_absolute_error, huber, log_cosh),
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "mae": mean_absolute_error,
    "mse": mean_squared_error,
}


def get(identifier: Any) -> Any:
    """Return the loss that `identifier` stands for.

    Args:
        identifier: a name such as ``"mse"`` (a function) or ``"MeanSquaredError"`` (an object), a config
            dict, a class, a function, an object, or None, which is returned as it is.

    Raises:
        ValueError: an unknown name; the text offers the nearest one.
        TypeError: something that cannot be a loss.

    Example:
        >>> get("MSE") is mean_squared_error
        True
    """
    return registry.lookup("loss", identifier, _TABLE)


def serialize(loss: Any) -> Any:
    """Return a loss as plain data: a function by name, an object as a dict.

    Example:
        >>> serialize(mean_squared_error)
        'mean_squared_error'
    """
    return registry.serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the loss that `serialize` described; `custom_objects` adds functions and classes by name.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> deserialize(serialize(Huber(delta=2.0))).delta
        2.0
    """
    return registry.lookup("loss", name, {**_TABLE, **(custom_objects or {})})


_CROSSENTROPIES: Mapping[str, Callable[..., Any]] = {
    "binary": binary_crossentropy,
    "sparse_categorical": sparse_categorical_crossentropy,
    "categorical": categorical_crossentropy,
}


def kind_of_targets(y_true: Spec, y_pred: Spec) -> str:
    """Tell from their shapes what targets are: ``"binary"``, ``"sparse_categorical"`` or ``"categorical"``.

    Example:
        >>> import numpy as np
        >>> labels, scores = Spec((32,), np.dtype("uint8")), Spec((32, 10), np.dtype("float32"))
        >>> kind_of_targets(labels, scores)
        'sparse_categorical'
    """
    if y_pred.shape[-1:] == (1,):
        return "binary"
    if y_true.ndim < y_pred.ndim or y_true.shape[-1:] == (1,):
        return "sparse_categorical"
    return "categorical"


def resolve(identifier: Any, y_true: Spec, y_pred: Spec) -> Loss | None:
    """Return the `Loss` that ``compile(loss=identifier)`` means for targets and predictions of these shapes.

    ``"crossentropy"`` and ``"ce"`` are resolved by shape. A function is wrapped; its name, or the one it was
    given by, becomes the name of the loss.

    Example:
        >>> import numpy as np
        >>> labels, scores = Spec((32,), np.dtype("uint8")), Spec((32, 10), np.dtype("float32"))
        >>> resolve("ce", labels, scores).fn is sparse_categorical_crossentropy
        True
    """
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        found = _CROSSENTROPIES[kind_of_targets(y_true, y_pred)]
    else:
        found = get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if isinstance(identifier, str) else getattr(found, "__name__", None)
    return LossFunctionWrapper(found, name=name)
