"""Layers, one family a file."""

from collections.abc import Mapping
from typing import Any

from gpudl import registry as _registry
from gpudl.layers.activation import ELU, LeakyReLU, ReLU, Softmax
from gpudl.layers.base.input_spec import InputSpec
from gpudl.layers.base.layer import Layer
from gpudl.layers.convolution import Conv2D
from gpudl.layers.core import Activation, Dense, Input, InputLayer
from gpudl.layers.embedding import Embedding
from gpudl.layers.normalization import BatchNormalization, LayerNormalization
from gpudl.layers.pooling import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)
from gpudl.layers.regularization import Dropout
from gpudl.layers.reshaping import Flatten, Reshape

__all__ = [
    "ELU",
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "ReLU",
    "Reshape",
    "Softmax",
    "deserialize",
    "get",
    "serialize",
]

_TABLE: Mapping[str, Any] = {
    **_registry.names(
        Activation, AveragePooling2D, BatchNormalization, Conv2D, Dense, Dropout, ELU, Embedding, Flatten
    ),
    **_registry.names(InputLayer, LeakyReLU, MaxPooling2D, ReLU, Reshape, Softmax),
    **_registry.names(GlobalAveragePooling2D, GlobalMaxPooling2D, LayerNormalization),
    "maxpool2d": MaxPooling2D,
    "avgpool2d": AveragePooling2D,
    "globalmaxpool2d": GlobalMaxPooling2D,
    "globalavgpool2d": GlobalAveragePooling2D,
}


def get(identifier: Any) -> Any:
    """Return the layer that a config, a class, a name (with default arguments) or a layer itself stands for.

    Raises:
        ValueError: an unknown name; the text offers the nearest one.

    Example:
        >>> get("flatten")
        <Flatten name=flatten, built=False>
    """
    return _registry.lookup("layer", identifier, _TABLE)


def serialize(layer: Layer) -> Any:
    """Return class name and config of a layer as plain data; weights are not part of it.

    Example:
        >>> serialize(ReLU(name="r"))["class_name"]
        'ReLU'
    """
    return _registry.serialize(layer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return a new layer from what `serialize` returned; `custom_objects` adds classes by name.

    Raises:
        ValueError: a class that is unknown.

    Example:
        >>> deserialize(serialize(Dense(3))).units
        3
    """
    return _registry.lookup("layer", config, {**_TABLE, **(custom_objects or {})})
