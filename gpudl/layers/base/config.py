"""The config of a layer: its constructor's arguments as plain data, and a layer from them."""

from __future__ import annotations

import inspect
from typing import Self

from gpudl.dtype_policies import DTypePolicy
from gpudl.registry import Config, Configurable, serialize


class HasConfig(Configurable):
    """The base of layers that implements their config."""

    name: str
    trainable: bool
    dtype_policy: DTypePolicy

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        given = {"name": self.name, "trainable": self.trainable, "dtype": serialize(self.dtype_policy)}
        return {**given, **{k: v for k, v in super().get_config().items() if k not in given}}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a new layer; name, trainable and dtype are set on it if its constructor does not accept them."""
        if "batch_input_shape" in config:  # of Keras 2
            shape = config["batch_input_shape"][1:]
            config = {"input_shape": shape, **{k: v for k, v in config.items() if k != "batch_input_shape"}}
        parameters = inspect.signature(cls.__init__).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        later = () if takes_all else {"name", "trainable", "dtype"} & config.keys() - parameters.keys()
        layer = cls(**{key: value for key, value in config.items() if key not in later})
        for key in later:
            setattr(layer, "dtype_policy" if key == "dtype" else key, config[key])
        return layer
