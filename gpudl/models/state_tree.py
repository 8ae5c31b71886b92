"""All that training changes in a model, as a tree of values by the paths of the variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike

from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.models.reported import Reported
from gpudl.optimizers import Optimizer
from gpudl.registry import Config

_FORMATS = ("backend_tensor", "numpy_array")


class HasStateTree(Reported):
    """The base of models that implements their state as a tree."""

    optimizer: Optimizer | None

    def get_state_tree(self, value_format: str = "backend_tensor") -> Config:
        """Return the values of all variables in nested dicts, by kind and by the parts of their paths.

        Args:
            value_format: ``"backend_tensor"``, or ``"numpy_array"`` for arrays on the host.

        Raises:
            ValueError: another format, or two variables of one path.

        Example:
            >>> model = gpudl.Sequential([gpudl.Input((2,)), gpudl.layers.Dense(1, name="top")], name="m")
            >>> tree = model.get_state_tree("numpy_array")
            >>> sorted(tree), tree["trainable_variables"]["m"]["top"]["bias"]
            (['metrics_variables', 'non_trainable_variables', 'optimizer_variables', 'trainable_variables'], \
array([0.], dtype=float32))
        """
        if value_format not in _FORMATS:
            raise ValueError(f"value_format must be one of {', '.join(_FORMATS)}, got {value_format!r}.")
        host = value_format == "numpy_array"
        return {
            kind: _nested({path: v.numpy() if host else v.value for path, v in variables.items()})
            for kind, variables in self._state().items()
        }

    def set_state_tree(self, state_tree: Mapping[str, Mapping[str, object]]) -> None:
        """Set variables from a tree of `get_state_tree`, or from a part of one.

        Raises:
            ValueError: an unknown kind or path, or another shape; then nothing is set.
        """
        state, found = self._state(), []
        for kind, tree in state_tree.items():
            if kind not in state:
                raise ValueError(f"the state of a model has {', '.join(state)}, got {kind!r}.")
            for path, value in _flat(tree):
                if path not in state[kind]:
                    known = ", ".join(state[kind]) or "none"
                    raise ValueError(f"{self._who()} has no variable {path!r} among its {kind}, which are {known}.")
                variable, array = state[kind][path], np.asarray(value)
                if array.shape != variable.shape:
                    raise ValueError(f"{self._who()}: {path!r} has shape {variable.shape}, got {array.shape}.")
                found.append((variable, array))
        for variable, array in found:
            variable.assign(array)

    def _state(self) -> dict[str, dict[str, Variable]]:
        """Return the variables of each kind by their paths; those of the optimizer have its name before theirs."""
        name, own = ("", []) if self.optimizer is None else (f"{self.optimizer.name}/", self.optimizer.variables)
        return {
            "trainable_variables": _unique((v.path, v) for v in self.trainable_variables),
            "non_trainable_variables": _unique((v.path, v) for v in self.non_trainable_variables),
            "optimizer_variables": _unique((f"{name}{v.name}", v) for v in own),
            "metrics_variables": _unique((v.path, v) for v in self.metrics_variables),
        }


def _unique(pairs: Iterator[tuple[str, Variable]]) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    for path, variable in pairs:
        if path in found:
            raise ValueError(f"two variables have the path {path!r}. Give the layers, or metrics, different names.")
        found[path] = variable
    return found


def _nested(flat: Mapping[str, Tensor | np.ndarray]) -> Config:
    tree: Config = {}
    for path, value in flat.items():
        *outer, last = path.split("/")
        inner = tree
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return tree


def _flat(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, ArrayLike]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value  # type: ignore[misc]
