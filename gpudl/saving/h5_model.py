"""Whole models, and weights, in the older HDF5 files of Keras 2 and 3, ``*.h5``: layers by name, weights in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpudl.engine.state import warn_user
from gpudl.engine.variable import Variable
from gpudl.layers.base.layer import Layer
from gpudl.optimizers import Optimizer
from gpudl.registry import Config
from gpudl.saving.hdf5 import dataset_in, group_at, leave_or_refuse
from gpudl.saving.objects import serialize_keras_object

if TYPE_CHECKING:
    import h5py

_WEIGHTS, _OPTIMIZER, _TOP = "model_weights", "optimizer_weights", "top_level_model_weights"
_MODULES = {"optimizer": "keras.optimizers", "loss": "keras.losses"} | dict.fromkeys(
    ("metrics", "weighted_metrics"), "keras.metrics"
)
_LONGEST = 64_000
"""The bytes that an attribute can have; longer lists of names are in several, which are numbered."""


class _Stored(NamedTuple):
    """What a file has for a layer: its weights, and the arrays that they get."""

    name: str
    weights: list[Variable]
    datasets: list[h5py.Dataset]


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
        _write(file.create_group(_OPTIMIZER), optimizer.variables)
    write_layers(model, file.create_group(_WEIGHTS))


def write_layers(model: Layer, group: h5py.Group) -> None:
    """Write the weights of each layer to a group of its name."""
    layers = _layers(model)
    _write_names(group, "layer_names", [layer.name for layer in layers])
    for layer in layers:
        _write(group.create_group(layer.name), _ordered(layer))
    _write(group.create_group(_TOP), [])


def _layers(model: Layer) -> Sequence[Layer]:
    found: Sequence[Layer] = getattr(model, "layers", [model])
    return found


def _ordered(layer: Layer) -> list[Variable]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _write(group: h5py.Group, weights: Sequence[Variable]) -> None:
    names = [variable.path or variable.name for variable in weights]
    unique = [name if names.count(name) == 1 else f"{name}_{number}" for number, name in enumerate(names)]
    _write_names(group, "weight_names", unique)
    for name, variable in zip(unique, weights, strict=True):
        group.create_dataset(name, data=variable.numpy())


def _write_names(group: h5py.Group, attribute: str, names: list[str]) -> None:
    encoded = np.array([name.encode() for name in names], dtype="S" if names else float)
    parts = max(1, -(-encoded.nbytes // _LONGEST))
    for number, part in enumerate(np.array_split(encoded, parts)):
        group.attrs[attribute if parts == 1 else f"{attribute}{number}"] = part


def _names(group: h5py.Group, attribute: str) -> list[str]:
    parts = (
        [attribute]
        if attribute in group.attrs
        else sorted(
            (name for name in group.attrs if name.startswith(attribute)), key=lambda name: int(name[len(attribute) :])
        )
    )
    found = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def read_layers(
    model: Layer, file: h5py.File, source: Path, skip_mismatch: bool = False, by_name: bool = False
) -> None:
    """Set the weights of a model from an open file, of whole models or of weights.

    Args:
        model: a built model.
        file: an open file.
        source: its path, for errors.
        skip_mismatch: leave layers as they are, with a warning, that the file does not fit.
        by_name: set the weights of the layers that have a name of the file, wherever they are in the model.

    Raises:
        ValueError: the file does not fit; no weight has changed then.
    """
    group = group_at(file, _WEIGHTS, source) or file
    known = {layer.name: layer for layer in _layers(model)}
    saved = [stored for stored in _saved(group, source) if stored[1]]
    if by_name:
        pairs = [(known[name], datasets) for name, datasets in saved if name in known]
    else:
        wanted = [layer for layer in _layers(model) if _ordered(layer)]
        if len(wanted) != len(saved):
            raise ValueError(
                f"{source} has weights of {len(saved)} layers, and {model.name!r} has {len(wanted)} layers with "
                "weights. by_name=True loads those of the same name."
            )
        pairs = [(layer, datasets) for layer, (_, datasets) in zip(wanted, saved, strict=True)]
    fitting = []
    for layer, datasets in pairs:
        stored = _Stored(layer.name, _ordered(layer), datasets)
        if [v.shape for v in stored.weights] == [d.shape for d in datasets]:
            fitting.append(stored)
            continue
        problem = (
            f"{layer.name!r} has weights of shapes {[v.shape for v in stored.weights]}, and the file has "
            f"{[d.shape for d in datasets]}."
        )
        leave_or_refuse(source, layer.name, problem, skip_mismatch)
    for stored in fitting:
        for variable, dataset in zip(stored.weights, stored.datasets, strict=True):
            variable.assign(np.asarray(dataset[()]))


def _saved(group: h5py.Group, source: Path) -> Iterator[tuple[str, list[h5py.Dataset]]]:
    for name in _names(group, "layer_names"):
        inner = group_at(group, name, source)
        if inner is None:
            raise ValueError(f"{source} names the layer {name!r}, and has nothing for it. This file is not loaded.")
        yield name, _datasets(inner, source)


def _datasets(group: h5py.Group, source: Path) -> list[h5py.Dataset]:
    found = []
    for name in _names(group, "weight_names"):
        folder, _, last = name.rpartition("/")
        inner = group_at(group, folder, source) if folder else group
        if inner is None:
            raise ValueError(f"{source} names the weight {name!r}, and has nothing for it. This file is not loaded.")
        found.append(dataset_in(inner, last, source))
    return found


def read_config(file: h5py.File, source: Path) -> Config:
    """Return the config of a whole model, with its ``compile_config``, in the form of archives.

    Raises:
        ValueError: there is none: the file has weights only.
    """
    if "model_config" not in file.attrs:
        raise ValueError(
            f"{source} has weights, but no model: build the model in your program, and call load_weights() on it."
        )
    config: Config = {"module": "keras.models", **json.loads(file.attrs["model_config"])}
    if "training_config" in file.attrs:
        compiled = json.loads(file.attrs["training_config"])
        compiled["optimizer"] = optimizer = compiled.pop("optimizer_config", None)
        if optimizer and optimizer["config"].get("decay") == 0:  # Keras 2's, which schedules have replaced
            del optimizer["config"]["decay"]
        config["compile_config"] = {name: _within(_MODULES.get(name), value) for name, value in compiled.items()}
    return config


def _within(module: str | None, nest: object) -> object:
    """Return a nest of configs, with the module that older files do not have."""
    if module is not None and isinstance(nest, dict):
        if "class_name" in nest:
            return {"module": module, **nest}
        return {name: _within(module, child) for name, child in nest.items()}
    return [_within(module, child) for child in nest] if isinstance(nest, list) else nest


def read_optimizer(model: Layer, file: h5py.File, source: Path) -> None:
    """Set the state of the optimizer that a model is compiled with, if the file has it."""
    optimizer = getattr(model, "optimizer", None)
    group = group_at(file, _OPTIMIZER, source)
    if not isinstance(optimizer, Optimizer) or group is None:
        return
    datasets = _datasets(group, source)
    optimizer.build(model.trainable_variables)
    if [v.shape for v in optimizer.variables] != [d.shape for d in datasets]:
        warn_user("load_model leaves the optimizer as it is: the file has the state of another one.")
        return
    for variable, dataset in zip(optimizer.variables, datasets, strict=True):
        variable.assign(np.asarray(dataset[()]))
