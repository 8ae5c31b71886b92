"""Layers one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.registry import Config

__all__ = [
    "Pipeline",
]


class Pipeline(Layer):
    """Apply layers one after another, with `training` for those that take it.

    Args:
        layers: the layers.
        name: a name.

    Example:
        >>> pipeline = gpudl.layers.Pipeline([gpudl.layers.Rescaling(0.5), gpudl.layers.CenterCrop(1, 1)])
        >>> pipeline(np.full((3, 3, 1), 8.0)).numpy().ravel()
        array([4.], dtype=float32)
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        if not isinstance(layers, list | tuple) or not all(isinstance(layer, Layer) for layer in layers):
            raise TypeError(f"Pipeline: layers must be a list of layers, got {layers!r}.")
        self.layers = list(layers)

    def call(self, inputs: object, training: bool = True) -> object:
        """Return what the last layer makes of it."""
        for layer in self.layers:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> Config:
        """Return the layers and the name as plain data."""
        return {"layers": [LAYERS.serialize(layer) for layer in self.layers], "name": self.name}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a new pipeline of new layers."""
        return cls(**{**config, "layers": [LAYERS.deserialize(layer) for layer in config["layers"]]})
