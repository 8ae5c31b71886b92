"""Whole models, and weights, in the older HDF5 files of Keras 2 and 3, ``*.h5``: layers by name, weights in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpudl.engine.state import warn_user
from gpudl.engine.variable import Variable
from gpudl.layers.base.layer import Layer
from gpudl.optimizers import Optimizer
from gpudl.registry import Config
from gpudl.saving.hdf5 import Hdf5Array, array_in, group_at, put, undamaged
from gpudl.saving.model_text import parsed
from gpudl.saving.objects import serialize_keras_object
from gpudl.saving.stored import OnHost, Pair, fits, leave_or_refuse

if TYPE_CHECKING:
    import h5py

_WEIGHTS, _OPTIMIZER, _TOP = "model_weights", "optimizer_weights", "top_level_model_weights"
_MODULES = {"optimizer": "keras.optimizers", "loss": "keras.losses"} | dict.fromkeys(
    ("metrics", "weighted_metrics"), "keras.metrics"
)
_LONGEST = 64_000
"""The bytes that an attribute can have; longer lists of names are in several, which are numbered."""


def write_h5(model: Layer, file: h5py.File, config: Config, version: str) -> None:
    """Write a model to an open file: its config, as `serialize_keras_object` returns it, weights and optimizer."""
    plain = {"class_name": config["class_name"], "config": config["config"]}
    file.attrs["model_config"] = json.dumps(plain)
    file.attrs["keras_version"], file.attrs["backend"] = version, "numpy"
    compiled = dict(config.get("compile_config") or {})
    optimizer = getattr(model, "optimizer", None)
    if compiled and isinstance(optimizer, Optimizer):
        compiled["optimizer_config"] = compiled.pop("optimizer")
        file.attrs["training_config"] = json.dumps(serialize_keras_object(compiled))
        _write(file.create_group(_OPTIMIZER), optimizer.variables, OnHost())
    _write_layers(model, file.create_group(_WEIGHTS))


def _write_layers(model: Layer, group: h5py.Group) -> None:
    """Write the weights of each layer to a group of its name."""
    layers, values = _layers(model), OnHost()
    _write_names(group, "layer_names", [layer.name for layer in layers])
    for layer in layers:
        _write(group.create_group(layer.name), _ordered(layer), values)
    _write(group.create_group(_TOP), [], values)


def _layers(model: Layer) -> Sequence[Layer]:
    found: Sequence[Layer] = getattr(model, "layers", [model])
    return found


def _ordered(layer: Layer) -> list[Variable]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _write(group: h5py.Group, weights: Sequence[Variable], values: OnHost) -> None:
    names = [variable.path or variable.name for variable in weights]
    unique = [name if names.count(name) == 1 else f"{name}_{number}" for number, name in enumerate(names)]
    _write_names(group, "weight_names", unique)
    for name, variable in zip(unique, weights, strict=True):
        put(group, name, values.array(variable))


def _write_names(group: h5py.Group, attribute: str, names: list[str]) -> None:
    encoded = np.array([name.encode() for name in names], dtype="S" if names else float)
    parts = max(1, -(-encoded.nbytes // _LONGEST))
    for number, part in enumerate(np.array_split(encoded, parts)):
        group.attrs[attribute if parts == 1 else f"{attribute}{number}"] = part


def _names(group: h5py.Group, attribute: str, source: Path) -> list[str]:
    with undamaged(source):
        numbered = [name for name in group.attrs if name.startswith(attribute) and name[len(attribute) :].isdecimal()]
        parts = [attribute] if attribute in group.attrs else sorted(numbered, key=lambda n: int(n[len(attribute) :]))
        found = [name for part in parts for name in np.atleast_1d(group.attrs[part]).tolist()]
        return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def layers_from(
    model: Layer, file: h5py.File, source: Path, skip_mismatch: bool = False, by_name: bool = False
) -> list[Pair]:
    """Return what the weights of a model get from an open file, of whole models or of weights.

    Args:
        model: a built model.
        file: an open file.
        source: its path, for errors.
        skip_mismatch: leave layers as they are, with a warning, that the file does not fit.
        by_name: set the weights of the layers that have a name of the file, wherever they are in the model.

    Raises:
        ValueError: the file does not fit.
    """
    group = group_at(file, _WEIGHTS, source) or file
    known = {layer.name: layer for layer in _layers(model)}
    saved = [(name, stored) for name, stored in _saved(group, source) if stored]
    if by_name:
        pairs = [(known[name], stored) for name, stored in saved if name in known]
    else:
        wanted = [layer for layer in _layers(model) if _ordered(layer)]
        if len(wanted) != len(saved):
            raise ValueError(
                f"{source} has weights of {len(saved)} layers, and {model.name!r} has {len(wanted)} layers with "
                "weights. by_name=True loads those of the same name."
            )
        pairs = [(layer, stored) for layer, (_, stored) in zip(wanted, saved, strict=True)]
    fitting: list[Pair] = []
    for layer, stored in pairs:
        problem = _problem(layer, stored)
        if problem is None:
            fitting += map(Pair, _ordered(layer), stored)
        else:
            leave_or_refuse(source, layer.name, problem, skip_mismatch)
    return fitting


def _problem(layer: Layer, stored: Sequence[Hdf5Array]) -> str | None:
    """Return why the arrays of a file do not fit a layer, in a sentence; None where they do."""
    weights = _ordered(layer)
    if [v.shape for v in weights] != [array.shape for array in stored]:
        return (
            f"{layer.name!r} has weights of shapes {[v.shape for v in weights]}, and the file has "
            f"{[array.shape for array in stored]}."
        )
    for variable, array in zip(weights, stored, strict=True):
        if not fits(variable.dtype, array.dtype):
            return (
                f"the weight {variable.name!r} of {layer.name!r} is {variable.dtype}, and the file has {array.dtype}, "
                "which are numbers of another kind."
            )
    return None


def _saved(group: h5py.Group, source: Path) -> Iterator[tuple[str, list[Hdf5Array]]]:
    for name in _names(group, "layer_names", source):
        inner = group_at(group, name, source)
        if inner is None:
            raise ValueError(f"{source} names the layer {name!r}, and has nothing for it. This file is not loaded.")
        yield name, _arrays(inner, source)


def _arrays(group: h5py.Group, source: Path) -> list[Hdf5Array]:
    found = []
    for name in _names(group, "weight_names", source):
        folder, _, last = name.rpartition("/")
        inner = group_at(group, folder, source) if folder else group
        if inner is None:
            raise ValueError(f"{source} names the weight {name!r}, and has nothing for it. This file is not loaded.")
        found.append(array_in(inner, last, source))
    return found


def read_config(file: h5py.File, source: Path) -> Config:
    """Return the config of a whole model, with its ``compile_config``, in the form of archives.

    Raises:
        ValueError: there is none: the file has weights only.
    """
    with undamaged(source):
        known = set(file.attrs)
    if "model_config" not in known:
        raise ValueError(
            f"{source} has weights, but no model: build the model in your program, and call load_weights() on it."
        )
    config: Config = {"module": "keras.models", **_json(file, "model_config", source)}
    if "training_config" in known:
        compiled = _json(file, "training_config", source)
        compiled["optimizer"] = optimizer = compiled.pop("optimizer_config", None)
        own = optimizer.get("config") if isinstance(optimizer, dict) else None
        if isinstance(own, dict) and own.get("decay") == 0:  # Keras 2's, which schedules have replaced
            del own["decay"]
        config["compile_config"] = {name: _within(_MODULES.get(name), value) for name, value in compiled.items()}
    return config


def _json(file: h5py.File, attribute: str, source: Path) -> Config:
    with undamaged(source):
        return parsed(file.attrs[attribute], str(source))


def _within(module: str | None, nest: object) -> object:
    """Return a nest of configs, with the module that older files do not have."""
    if module is not None and isinstance(nest, dict):
        if "class_name" in nest:
            return {"module": module, **nest}
        return {name: _within(module, child) for name, child in nest.items()}
    return [_within(module, child) for child in nest] if isinstance(nest, list) else nest


def optimizer_from(model: Layer, file: h5py.File, source: Path) -> list[Pair]:
    """Return what the state of the optimizer gets that a model is compiled with, if the file has it."""
    optimizer = getattr(model, "optimizer", None)
    group = group_at(file, _OPTIMIZER, source)
    if not isinstance(optimizer, Optimizer) or group is None:
        return []
    stored = _arrays(group, source)
    optimizer.build(model.trainable_variables)
    variables = optimizer.variables
    if [v.shape for v in variables] == [a.shape for a in stored] and all(
        fits(v.dtype, a.dtype, also_whole=True) for v, a in zip(variables, stored, strict=True)
    ):
        return list(map(Pair, variables, stored))
    warn_user("load_model leaves the optimizer as it is: the file has the state of another one.")
    return []
