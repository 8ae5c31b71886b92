"""A table of features of several kinds, prepared and encoded column by column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np

from gpudl import ops
from gpudl.argument_errors import unknown
from gpudl.engine.spec import is_floating
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.layer import Layer
from gpudl.layers.core import Input
from gpudl.layers.preprocessing.category_encoding import CategoryEncoding
from gpudl.layers.preprocessing.discretization import Discretization
from gpudl.layers.preprocessing.feature_kinds import FeatureKinds
from gpudl.layers.preprocessing.features import Cross, Feature
from gpudl.layers.preprocessing.has_vocabulary import HasVocabulary
from gpudl.layers.preprocessing.hashing import HashedCrossing, Hashing
from gpudl.layers.preprocessing.host import array_of
from gpudl.layers.preprocessing.normalization import Normalization
from gpudl.layers.preprocessing.text_vectorization import TextVectorization
from gpudl.registry import Config, serialize

Table: TypeAlias = Mapping[str, object]
_KINDS = (
    *("float", "float_normalized", "float_rescaled", "float_discretized", "integer_categorical"),
    *("string_categorical", "integer_hashed", "string_hashed"),
)
_ROWS = 32  # of a batch of single rows


class FeatureSpace(FeatureKinds, Layer):
    """Prepare and encode the columns of a table, each by its kind, and join them.

    It is called on a dict of columns, eagerly or mapped over a data set; `get_inputs` and `get_encoded_features` are
    the inputs and the first symbols of a model that takes the columns as they come.

    Args:
        features: the kind of each column by its name, such as ``"float_normalized"`` or
            ``FeatureSpace.float_normalized()``.
        output_mode: ``"concat"`` for one row of all of them, or ``"dict"`` for a dict by name.
        crosses: features whose combinations are hashed: tuples of names, or results of `FeatureSpace.cross`.
        crossing_dim: the number of bins of a cross.
        hashing_dim: the number of bins of ``"string_hashed"`` and ``"integer_hashed"``.
        num_discretization_bins: the number of bins of ``"float_discretized"``.
        name: a name.

    Raises:
        ValueError: no features, an unknown kind, a cross of a feature that is not there; a call before `adapt`, with a
            column missing, or with one that cannot be joined to others.

    Example:
        >>> space = gpudl.utils.FeatureSpace({"size": "float_normalized", "kind": "string_categorical"})
        >>> table = {"size": [1.0, 3.0], "kind": ["cat", "dog"]}
        >>> space.adapt(table)
        >>> space(table).numpy()
        array([[ 0.,  0.,  1., -1.],
               [ 0.,  1.,  0.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        features: Mapping[str, str | Feature | Config],
        output_mode: str = "concat",
        crosses: Sequence[Sequence[str] | Cross | Config] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not features:
            raise ValueError(f"{self._who()} needs features: a dict such as {{'size': 'float_normalized'}}.")
        if output_mode not in ("concat", "dict"):
            raise ValueError(f"{self._who()}: output_mode must be 'concat' or 'dict', got {output_mode!r}.")
        self.output_mode = output_mode
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.features = {name: self._feature(name, given) for name, given in features.items()}
        self.crosses = [self._cross(given) for given in crosses or ()]
        self.preprocessors = {name: feature.preprocessor for name, feature in self.features.items()}
        self.crossers = {cross.name: HashedCrossing(cross.crossing_dim, name=cross.name) for cross in self.crosses}
        self.one_hot_encoders: dict[str, Layer] = {}
        self.inputs = {name: Input((1,), dtype=feature.dtype, name=name) for name, feature in self.features.items()}
        self.encoded_features: object = None
        self._is_adapted = not self._adaptable()

    def _feature(self, name: str, given: str | Feature | Config) -> Feature:
        if isinstance(given, Feature):
            return given
        if not isinstance(given, str):
            return Feature.from_config(given.get("config", given))
        if given not in _KINDS:
            raise unknown("kind of feature", given, _KINDS)
        if given == "float_discretized":
            return self.float_discretized(self.num_discretization_bins, name=name)
        if given == "string_hashed":
            return self.string_hashed(self.hashing_dim, name=name)
        if given == "integer_hashed":
            return self.integer_hashed(self.hashing_dim, name=name)
        made: Feature = getattr(self, given)(name=name)
        return made

    def _cross(self, given: Sequence[str] | Cross | Config) -> Cross:
        if isinstance(given, dict):
            given = Cross.from_config(given.get("config", given))
        cross = given if isinstance(given, Cross) else Cross(given, self.crossing_dim)
        missing = [name for name in cross.feature_names if name not in self.features]
        if missing:
            raise ValueError(
                f"{self._who()}: the cross {cross.name!r} needs features that are not there: {', '.join(missing)}."
            )
        return cross

    def _adaptable(self) -> dict[str, Layer]:
        """Return the layers that learn from data, by feature."""
        return {name: layer for name, layer in self.preprocessors.items() if _learns(layer)}

    def adapt(self, dataset: Table | Iterable[Table]) -> None:
        """Let each layer learn from its column.

        Args:
            dataset: a dict of columns, or an iterable of such dicts, of rows or of batches.

        Raises:
            ValueError: the data are no dicts, or a column is missing.
        """
        tables = [dataset] if isinstance(dataset, Mapping) else dataset
        tables = list(tables) if isinstance(tables, Iterator) else tables  # read once for each column
        for name, layer in self._adaptable().items():
            layer.adapt(self._column(name, tables))  # type: ignore[attr-defined]
        self._is_adapted = True
        self.get_encoded_features()

    def _column(self, name: str, tables: Iterable[Table]) -> Iterator[np.ndarray]:
        """Yield the batches of a column, single rows joined."""
        arrays = (self._array(name, table) for table in tables)
        for first in arrays:
            rows = [first, *islice(arrays, _ROWS - 1)] if first.ndim == 0 else [first]
            joined = np.stack(rows) if first.ndim == 0 else first
            yield joined[:, None] if joined.ndim == 1 else joined

    def _array(self, name: str, table: Table) -> np.ndarray:
        if not isinstance(table, Mapping):
            raise ValueError(
                f"{self._who()} takes a dict of columns, got {type(table).__name__}. A data set of (x, y) is mapped by "
                "lambda x, y: x first."
            )
        if name not in table:
            raise ValueError(f"{self._who()} takes the columns {', '.join(self.features)}, and {name!r} is missing.")
        array = array_of(table[name], self._who())
        return array.astype(np.float32) if self.features[name].dtype == "float32" else array

    def get_inputs(self) -> dict[str, KerasTensor]:
        """Return an `Input` for each column, by name."""
        self._require_adapted()
        return dict(self.inputs)

    def get_encoded_features(self) -> object:
        """Return the symbols of the encoded columns, one or a dict by name, which depend on those of `get_inputs`."""
        self._require_adapted()
        if self.encoded_features is None:
            self.encoded_features = self._encoded(self.inputs)
        return self.encoded_features

    def _require_adapted(self) -> None:
        if not self._is_adapted:
            raise ValueError(
                f"{self._who()} has learnt nothing yet: call adapt(dataset) with samples of the data first."
            )

    def __call__(self, data: Table) -> object:  # type: ignore[override]
        """Return the encoded columns of a dict, of a batch or of one row."""
        self.get_encoded_features()
        arrays = {name: self._array(name, data) for name in self.features}
        single = all(array.ndim == 0 for array in arrays.values())
        found = self._encoded(
            {name: array.reshape(-1, 1) if array.ndim < 2 else array for name, array in arrays.items()}
        )
        if not single:
            return found
        return {name: value[0] for name, value in found.items()} if isinstance(found, dict) else found[0]

    def _encoded(self, columns: Mapping[str, object]) -> Tensor | dict[str, Tensor]:
        """Return the columns, arrays or symbols, prepared, crossed and encoded."""
        made = {name: self.preprocessors[name](column) for name, column in columns.items()}
        modes = {name: feature.output_mode for name, feature in self.features.items()}
        crossed = {
            cross.name: self.crossers[cross.name]([made[name] for name in cross.feature_names])
            for cross in self.crosses
        }
        modes |= {cross.name: cross.output_mode for cross in self.crosses}
        found: dict[str, Tensor] = {}
        for name, value in [*sorted(made.items()), *sorted(crossed.items())]:
            found[name] = self._one_hot(name, value) if modes[name] == "one_hot" else value
            if self.output_mode == "concat" and not is_floating(found[name].dtype):
                raise ValueError(
                    f"{self._who()}: the feature {name!r} is of dtype {found[name].dtype}, and only numbers that are "
                    "encoded can be joined. Use its output_mode='one_hot', or output_mode='dict' of the whole."
                )
        return found if self.output_mode == "dict" else ops.concatenate(list(found.values()), axis=-1)

    def _one_hot(self, name: str, value: Tensor) -> Tensor:
        if name not in self.one_hot_encoders:
            depth = _depth(self.preprocessors.get(name) or self.crossers[name])
            if depth is None or value.dtype.kind not in "iu":
                raise ValueError(
                    f"{self._who()}: the feature {name!r} has output_mode='one_hot', which needs a layer that returns "
                    f"one of a known number of integers. It returns {value.dtype}. Use output_mode='int'."
                )
            self.one_hot_encoders[name] = CategoryEncoding(depth)
        encoded: Tensor = self.one_hot_encoders[name](value)
        return encoded

    def get_config(self) -> Config:
        """Return the arguments as plain data."""
        return {
            "features": {name: serialize(feature) for name, feature in self.features.items()},
            "output_mode": self.output_mode,
            "crosses": [serialize(cross) for cross in self.crosses],
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }


def _learns(layer: Layer) -> bool:
    """Return whether a layer learns by `adapt`, and was given nothing instead."""
    if isinstance(layer, TextVectorization):
        layer = layer._lookup
    if isinstance(layer, HasVocabulary):
        return not layer._fixed
    if isinstance(layer, Discretization):
        return layer.num_bins is not None
    if isinstance(layer, Normalization):
        return layer.input_mean is None
    return hasattr(layer, "adapt")


def _depth(layer: Layer) -> int | None:
    """Return how many integers a layer returns; None where it is not known."""
    if isinstance(layer, HasVocabulary):
        return layer.vocabulary_size()
    if isinstance(layer, CategoryEncoding):
        return layer.num_tokens
    if isinstance(layer, Discretization):
        return layer.num_bins or len(layer.bin_boundaries or ()) + 1
    return layer.num_bins if isinstance(layer, Hashing | HashedCrossing) else None
