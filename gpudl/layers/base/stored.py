"""Reading and setting the weights of a layer as arrays."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from gpudl.engine.variable import Variable
from gpudl.layers.base.named import Named


class HasStoredWeights(Named):
    """The base of layers that implements reading and setting weights as arrays."""

    built: bool
    _own: list[Variable]
    _saved_as_they_are = True  # else files have what `save_own_variables` stores

    @property
    def weights(self) -> list[Variable]:
        """All weights, including those of layers inside."""
        raise NotImplementedError

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all weights as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set all weights from arrays in the order of `get_weights`.

        Raises:
            ValueError: the number of arrays, a shape or a dtype does not match; then no weight is changed.
        """
        variables = self.weights
        if len(weights) != len(variables):
            unbuilt = "" if self.built else " It is not built yet: call it on a batch first, or build() it."
            raise ValueError(f"{self._who()} has {len(variables)} weights, got {len(weights)} arrays.{unbuilt}")
        self._set(variables, weights)

    def _set(self, variables: Sequence[Variable], values: Sequence[ArrayLike]) -> None:
        """Set variables, all of them or none."""
        arrays = [np.asarray(value, dtype=v.dtype) for value, v in zip(values, variables, strict=True)]
        for variable, array in zip(variables, arrays, strict=True):
            if array.shape != variable.shape:
                raise ValueError(
                    f"{self._who()}: weight {variable.name!r} has shape {variable.shape}, got {array.shape}."
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def _stored(self) -> list[Variable]:
        """Return the layer's own weights, without those of layers inside, the trainable ones first."""
        return sorted(self._own, key=lambda v: not v.wanted)

    def _saved(self) -> list[Variable]:
        """Return the weights that `save_own_variables` stores, in its order."""
        return self._stored()

    def _arrays_to_save(self) -> list[np.ndarray]:
        """Return what it stores for them."""
        return [variable.numpy() for variable in self._saved()]

    def _loaded(self) -> None:
        """Bring in line what depends on the weights that `load_own_variables` has set."""

    def save_own_variables(self, store: MutableMapping[str, np.ndarray]) -> None:
        """Store the layer's own weights, without those of layers inside, in a dict, under "0", "1" and so on.

        Example:
            >>> layer, store = gpudl.layers.Dense(2), {}
            >>> layer.build((None, 3))
            >>> layer.save_own_variables(store)
            >>> {name: array.shape for name, array in store.items()}
            {'0': (3, 2), '1': (2,)}
        """
        store.update({str(number): array for number, array in enumerate(self._arrays_to_save())})

    def load_own_variables(self, store: Mapping[str, ArrayLike]) -> None:
        """Set the layer's own weights from a dict of `save_own_variables`.

        Raises:
            ValueError: the number of arrays or a shape does not match; then no weight is changed.
        """
        variables = self._saved()
        if len(store) != len(variables):
            unbuilt = (
                " It is not built: the build() of the layer around it must build it too, or build_from_config() do so."
                if store and not variables
                else f" Expected: {', '.join(v.name for v in variables)}."
            )
            raise ValueError(f"{self._who()} expected {len(variables)} variables, got {len(store)}.{unbuilt}")
        self._set(variables, [store[str(number)] for number in range(len(variables))])
        self._loaded()

    def count_params(self) -> int:
        """Return the number of weights; raise ValueError if the layer is not built."""
        if not self.built:
            raise ValueError(f"{self._who()} has no weights yet: it is built on its first call, or by build().")
        return sum(v.size for v in self.weights)
