"""Objects as plain data in the form of Keras's files, and back: from a closed table of classes, and the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import EllipsisType
from typing import Any

import numpy as np

from gpudl import activations, constraints, dtype_policies, initializers, losses, metrics, optimizers, regularizers
from gpudl import custom_objects as users
from gpudl.activations import ACTIVATIONS
from gpudl.argument_errors import unregistered
from gpudl.descriptions import Config, described, made_from
from gpudl.engine.convert import operand
from gpudl.engine.state import from_description
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.initializers.base import INITIALIZERS
from gpudl.layers.base.layer import LAYERS
from gpudl.losses.base import LOSSES
from gpudl.metrics.base import METRICS

__all__ = ["deserialize_keras_object", "serialize_keras_object"]

MAX_DEPTH = 100
"""How deep a config may be nested."""

_TABLES: dict[str, Callable[[Config], object]] = {
    "activations": activations.deserialize,
    "constraints": constraints.deserialize,
    "dtype_policies": dtype_policies.deserialize,
    "initializers": initializers.deserialize,
    "layers": LAYERS.deserialize,
    "losses": losses.deserialize,
    "metrics": metrics.deserialize,
    "models": LAYERS.deserialize,
    "optimizers": optimizers.deserialize,
    "regularizers": regularizers.deserialize,
    "schedules": optimizers.schedules.deserialize,
}
"""What makes the objects of each of Keras's modules; a config cannot name anything else."""
_ARRAYS = ("__tensor__", "__numpy__")
_FUNCTIONS = (ACTIVATIONS, LOSSES, METRICS, INITIALIZERS)


def serialize_keras_object(obj: object) -> Any:
    """Return an object, or a nest of objects, as data that JSON can hold, in Keras's form.

    Raises:
        ValueError: something that has no such form, such as a lambda.

    Example:
        >>> serialize_keras_object({"axes": (0, slice(1, None)), "loss": "mse"})
        {'axes': (0, {'class_name': '__slice__', 'config': {'start': 1, 'stop': None, 'step': None}}), 'loss': 'mse'}
    """
    if isinstance(obj, np.generic) or (isinstance(obj, np.ndarray | Tensor) and obj.ndim == 0):
        return obj.item()
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if isinstance(obj, Mapping):
        return {name: serialize_keras_object(value) for name, value in obj.items()}
    if isinstance(obj, list | tuple):
        return (tuple if isinstance(obj, tuple) else list)(map(serialize_keras_object, obj))
    if isinstance(obj, type):
        return _named("type", obj.__name__)
    if hasattr(obj, "get_config"):
        return serialize_keras_object(described(obj, obj.get_config()))
    special = _special(obj)
    if special is not None:
        return {"class_name": special[0], "config": special[1]}
    if isinstance(obj, np.dtype):
        return obj.name
    name = getattr(obj, "__name__", "<lambda>")
    if callable(obj) and name != "<lambda>":
        return _named("function", users.get_registered_name(obj))
    raise ValueError(
        f"{obj!r} cannot be saved: a file holds data only. Use a function with a name, or a class with get_config, and "
        "register it with saving.register_keras_serializable."
    )


def _named(kind: str, name: str) -> Config:
    return {"module": "builtins", "class_name": kind, "config": name, "registered_name": kind}


def _special(obj: object) -> tuple[str, Config] | None:
    """Return the form of values that JSON does not have."""
    if isinstance(obj, np.ndarray | Tensor | Variable):
        array = np.asarray(obj)
        return _ARRAYS[isinstance(obj, np.ndarray)], {"value": array.tolist(), "dtype": array.dtype.name}
    if isinstance(obj, slice):
        return "__slice__", {name: serialize_keras_object(getattr(obj, name)) for name in ("start", "stop", "step")}
    if isinstance(obj, EllipsisType):
        return "__ellipsis__", {}
    if isinstance(obj, bytes):
        return "__bytes__", {"value": obj.decode("latin-1")}
    return None


def deserialize_keras_object(
    config: object, custom_objects: Mapping[str, object] | None = None, safe_mode: bool = True
) -> Any:
    """Return the object, or the nest of objects, that `serialize_keras_object` has described.

    Classes come from gpudl's own, from those that are registered, and from `custom_objects`; nothing is imported, and
    no code in a config is run.

    Args:
        config: what `serialize_keras_object` returned, also after a way through JSON.
        custom_objects: the user's classes and functions by name.
        safe_mode: without effect: no config can do harm.

    Raises:
        ValueError: a class or function that is not known, a lambda, or a config that is nested too deep.

    Example:
        >>> deserialize_keras_object(serialize_keras_object(gpudl.losses.Huber(2.0))).delta
        2.0
    """
    check_depth(config)
    with users.custom_object_scope(custom_objects), from_description():
        return _made(config)


def check_depth(config: object) -> None:
    """Raise ValueError for a config that is nested more than `MAX_DEPTH` levels deep."""
    level, depth = [config], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"the config is nested more than {MAX_DEPTH} levels deep: this is no config of a model.")
        nests = [value for value in level if isinstance(value, dict | list | tuple)]
        level = [child for nest in nests for child in (nest.values() if isinstance(nest, dict) else nest)]


def _made(config: Any) -> Any:
    if isinstance(config, list | tuple):
        return type(config)(map(_made, config))
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {name: _made(value) for name, value in config.items()}
    name, own = str(config["class_name"]), config["config"]
    if name == "function":
        return _function(str(own))
    if name in _ARRAYS:
        array = np.asarray(own["value"], own["dtype"])
        return array if name == "__numpy__" else operand(array)
    if name == "__slice__":
        return slice(own["start"], own["stop"], own["step"])
    if name == "__ellipsis__":
        return ...
    if name == "__bytes__":
        return str(own["value"]).encode("latin-1")
    if name == "__lambda__":
        raise ValueError(
            "the config has a lambda, whose code is not run. Give the function a name in your program, register it "
            "with saving.register_keras_serializable, and save the model again."
        )
    return _of_class(config, name)


def _of_class(config: Config, name: str) -> object:
    module = str(config.get("module", "keras.layers") or "")  # older files have no modules
    path = module.removeprefix("keras.src.").removeprefix("keras.").split(".")
    kind = "dtype_policies" if name == "DTypePolicy" else "schedules" if "schedules" in path else path[0]
    if kind == "keras":
        kind = "models"
    if kind in _TABLES:
        return _TABLES[kind](config)
    known = users.known()
    found = known.get(str(config.get("registered_name"))) or known.get(name)
    if not isinstance(found, type):
        raise unregistered(name, module)
    return made_from(found, config)


def _function(name: str) -> object:
    found = users.known().get(name)
    for family in _FUNCTIONS:
        found = found or family.known.get(name)
    if found is None:
        raise unregistered(name)
    return found
