"""Features of a `FeatureSpace`: the layer that prepares each, and how it is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.registry import Config, serialize

_MODES = ("int", "one_hot", "float", "multi_hot", "count", "tf_idf")


class Cross:
    """Features whose combinations are hashed into bins.

    Args:
        feature_names: the names of the features.
        crossing_dim: the number of bins.
        output_mode: ``"one_hot"``, or ``"int"`` for the number of the bin.
    """

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        if output_mode not in ("int", "one_hot"):
            raise ValueError(f"a cross of features: output_mode must be 'int' or 'one_hot', got {output_mode!r}.")
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim
        self.output_mode = output_mode

    @property
    def name(self) -> str:
        """The names of the features, joined by ``_X_``."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> Config:
        """Return the arguments as plain data."""
        return {name: getattr(self, name) for name in ("feature_names", "crossing_dim", "output_mode")}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a cross with the arguments of `config`."""
        return cls(**config)


class Feature:
    """A feature: its dtype, the layer that prepares it, and how it is encoded.

    Args:
        dtype: ``"float32"``, ``"int32"``, ``"int64"`` or ``"string"``.
        preprocessor: the layer, or its config.
        output_mode: ``"one_hot"`` for what the layer returns as a one-hot row, ``"int"`` or ``"float"`` for itself.
    """

    def __init__(self, dtype: str, preprocessor: Layer | Config, output_mode: str) -> None:
        if output_mode not in _MODES:
            raise ValueError(f"a feature: output_mode must be 'int', 'float' or 'one_hot', got {output_mode!r}.")
        self.dtype = dtype
        self.preprocessor: Layer = LAYERS.deserialize(preprocessor) if isinstance(preprocessor, dict) else preprocessor
        self.output_mode = output_mode

    def get_config(self) -> Config:
        """Return the arguments as plain data."""
        return {"dtype": self.dtype, "preprocessor": serialize(self.preprocessor), "output_mode": self.output_mode}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a feature with the arguments of `config`."""
        return cls(**config)
