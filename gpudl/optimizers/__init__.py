"""Optimizers: how gradients change the variables."""

from __future__ import annotations

from typing import Any

from gpudl.optimizers.adagrad import Adagrad
from gpudl.optimizers.adam import Adam, AdamW
from gpudl.optimizers.loss_scale import LossScaleOptimizer
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.rmsprop import RMSprop
from gpudl.optimizers.sgd import SGD
from gpudl.registry import lookup, names, serialize

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "LossScaleOptimizer",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "serialize",
]

_known = names(SGD, RMSprop, Adam, AdamW, Adagrad, LossScaleOptimizer)


def get(identifier: Any) -> Optimizer | None:
    """Return the optimizer that `identifier` names.

    Args:
        identifier: a name such as ``"rmsprop"``, a dict with ``class_name`` and ``config``, an optimizer
            class, an optimizer (returned as it is), or None.

    Raises:
        ValueError: an unknown name; the text offers the nearest one.
        TypeError: anything that is no optimizer.

    Example:
        >>> float(get("adam").learning_rate)
        0.0010000000474974513
    """
    found = lookup("optimizer", identifier, _known)
    if found is None or isinstance(found, Optimizer):
        return found
    raise TypeError(f"expected an optimizer or its name, such as 'rmsprop' or Adam(), got {identifier!r}.")


def deserialize(config: dict[str, Any]) -> Optimizer | None:
    """Return the optimizer described by a dict that `serialize` made."""
    return get(config)
