"""The kinds of features that a `FeatureSpace` knows by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from gpudl.layers.base.layer import Layer
from gpudl.layers.preprocessing.discretization import Discretization
from gpudl.layers.preprocessing.features import Cross, Feature
from gpudl.layers.preprocessing.hashing import Hashing
from gpudl.layers.preprocessing.image.sizes import Rescaling
from gpudl.layers.preprocessing.lookup import IntegerLookup, StringLookup
from gpudl.layers.preprocessing.normalization import Normalization
from gpudl.layers.wrapping import Identity
from gpudl.names import auto_name

Number: TypeAlias = float
"""A number, where the word itself is a kind of features."""


class FeatureKinds:
    """The base of `FeatureSpace` with a function for each kind of features."""

    @staticmethod
    def cross(feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Return a cross of features, whose combinations are hashed into `crossing_dim` bins."""
        return Cross(feature_names, crossing_dim, output_mode)

    @staticmethod
    def feature(dtype: str, preprocessor: Layer, output_mode: str) -> Feature:
        """Return a feature that a layer prepares."""
        return Feature(dtype, preprocessor, output_mode)

    @staticmethod
    def float(name: str | None = None) -> Feature:
        """Return a feature of numbers that stay as they are."""
        return Feature("float32", Identity(name=_named("float", name)), "float")

    @staticmethod
    def float_rescaled(scale: Number = 1.0, offset: Number = 0.0, name: str | None = None) -> Feature:
        """Return a feature of numbers that are multiplied by `scale`, and added `offset` to."""
        return Feature("float32", Rescaling(scale, offset, name=_named("float_rescaled", name)), "float")

    @staticmethod
    def float_normalized(name: str | None = None) -> Feature:
        """Return a feature of numbers that get mean 0 and variance 1, by `adapt`."""
        return Feature("float32", Normalization(axis=-1, name=_named("float_normalized", name)), "float")

    @staticmethod
    def float_discretized(
        num_bins: int | None,
        bin_boundaries: Sequence[Number] | None = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Return a feature of numbers of which the bin counts, by boundaries that are given or found by `adapt`."""
        layer = Discretization(bin_boundaries, num_bins, name=_named("float_discretized", name))
        return Feature("float32", layer, output_mode)

    @staticmethod
    def integer_categorical(
        max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Return a feature of integers that stand for categories, which `adapt` finds."""
        layer = IntegerLookup(max_tokens, num_oov_indices, name=_named("integer_categorical", name))
        return Feature("int32", layer, output_mode)

    @staticmethod
    def string_categorical(
        max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Return a feature of text that stands for categories, which `adapt` finds."""
        layer = StringLookup(max_tokens, num_oov_indices, name=_named("string_categorical", name))
        return Feature("string", layer, output_mode)

    @staticmethod
    def string_hashed(num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a feature of text that is hashed into bins."""
        return Feature("string", Hashing(num_bins, name=_named("string_hashed", name)), output_mode)

    @staticmethod
    def integer_hashed(num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a feature of integers that are hashed into bins."""
        return Feature("int32", Hashing(num_bins, name=_named("integer_hashed", name)), output_mode)


def _named(kind: str, name: str | None) -> str:
    return f"{name or auto_name(kind)}_preprocessor"
