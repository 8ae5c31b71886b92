"""The text of a model's config, in a file or by itself, and the model that it describes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gpudl.layers.base.layer import Layer
from gpudl.registry import Config
from gpudl.saving.objects import check_depth, deserialize_keras_object

LARGEST_TEXT = 64 << 20


def parsed(text: object, source: str) -> Config:
    """Return a text of JSON as a dict.

    Raises:
        ValueError: it is no text, or no JSON of a dict, or nested too deep.
    """
    try:
        config = json.loads(text)  # type: ignore[arg-type]
    except (ValueError, RecursionError, TypeError) as error:
        raise ValueError(f"{source} has no config of a model: {error}.") from None
    if not isinstance(config, dict):
        raise ValueError(f"{source} has no config of a model, a dict with class_name and config.")
    check_depth(config)
    return config


def model_of(config: Config, custom_objects: Mapping[str, object] | None, source: str) -> Layer:
    """Return a new model that a config describes."""
    if "class_name" not in config:
        raise ValueError(f"{source} has no config of a model, a dict with class_name and config.")
    try:
        made = deserialize_keras_object(config, custom_objects)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        raise ValueError(
            f"{source}: the model cannot be built from its config: {type(error).__name__}: {error}. It is not loaded."
        ) from error
    if not isinstance(made, Layer):
        raise ValueError(f"{source} describes no model or layer, but {type(made).__name__}.")
    return made
