"""Losses: functions that give one loss per sample, and classes that weight and reduce them.

Names, arguments and results are those of ``keras.losses``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpudl.engine.spec import Spec
from gpudl.losses import base, crossentropy, divergence, focal, margin, overlap, regression, sequence, similarity
from gpudl.losses.base import *  # noqa: F403
from gpudl.losses.base import LOSSES, Loss, LossFunctionWrapper
from gpudl.losses.crossentropy import *  # noqa: F403
from gpudl.losses.divergence import *  # noqa: F403
from gpudl.losses.focal import *  # noqa: F403
from gpudl.losses.margin import *  # noqa: F403
from gpudl.losses.overlap import *  # noqa: F403
from gpudl.losses.regression import *  # noqa: F403
from gpudl.losses.sequence import *  # noqa: F403
from gpudl.losses.similarity import *  # noqa: F403
from gpudl.names import export

__all__ = ["deserialize", "get", "kind_of_targets", "resolve", "serialize"]
export(
    globals(),
    base,
    crossentropy,
    divergence,
    focal,
    margin,
    overlap,
    regression,
    sequence,
    similarity,
)

LOSSES.add(*map(vars, (base, crossentropy, divergence, focal, margin, overlap, regression, sequence, similarity)))
LOSSES.alias(bce="binary_crossentropy", kld="kl_divergence", mae="mean_absolute_error", mse="mean_squared_error")
LOSSES.alias(mape="mean_absolute_percentage_error", msle="mean_squared_logarithmic_error")
get, serialize, deserialize = LOSSES.get, LOSSES.serializer("loss"), LOSSES.deserializer("name")

_CROSSENTROPIES: Mapping[str, Callable[..., Any]] = {
    "binary": crossentropy.binary_crossentropy,
    "sparse_categorical": crossentropy.sparse_categorical_crossentropy,
    "categorical": crossentropy.categorical_crossentropy,
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
