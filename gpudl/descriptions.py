"""Descriptions of objects as Keras has them in its files: where the class is, and the config."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gpudl import custom_objects as users

Config = dict[str, Any]
"""The arguments of an object's constructor, by name, as plain data."""
_KINDS = ("constraints", "initializers", "layers", "losses", "metrics", "optimizers", "optimizers.schedules")
_PUBLIC = {"gpudl": "keras", **{f"gpudl.{kind}": f"keras.{kind}" for kind in (*_KINDS, "random", "regularizers")}}
"""The modules whose classes files name, and what Keras calls them."""


def described(value: object, config: Config) -> Config:
    """Return the description of an object with a config, as Keras has it in its files.

    It consists of ``module``, ``class_name``, ``config`` and ``registered_name``, which is None for gpudl's own
    classes, and, if the object has them, ``build_config``, which says how it was built, and ``compile_config``.
    """
    module, name = getattr(value, "_keras_path", None) or keras_path(type(value))
    registered = None if module.split(".")[0] == "keras" else users.get_registered_name(type(value))
    plain = {"module": module, "class_name": name, "config": config, "registered_name": registered}
    for key in ("build_config", "compile_config"):
        get = getattr(value, f"get_{key}", None)
        if get is not None and (more := get()) is not None:
            plain[key] = more
    return plain


def made_from(cls: Any, description: Mapping[str, Any]) -> Any:
    """Return a new object of `cls`, built and compiled as the one that was described."""
    try:
        made = cls.from_config(description.get("config", {}))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"the config of {cls.__name__} does not fit it: {error!r}.") from error
    for key in ("build_config", "compile_config"):
        again = getattr(made, key.replace("config", "from_config"), None)
        if again is not None and description.get(key):
            again(description[key])
    return made


def keras_path(cls: type) -> tuple[str, str]:
    """Return the module that Keras has a class of gpudl's in, or the class's own module; and the name of the class."""
    top, *inner = cls.__module__.split(".")
    name = cls.__name__
    if top == "gpudl":
        for path in (f"gpudl.{'.'.join(inner[:2])}", f"gpudl.{inner[0]}", "gpudl"):
            if getattr(sys.modules.get(path), name, None) is cls and path in _PUBLIC:
                return _PUBLIC[path], name
    return cls.__module__, name
