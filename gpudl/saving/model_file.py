"""Whole models in files: Keras's archives, ``*.keras``, and its older HDF5 files, ``*.h5``; and models as JSON."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpudl.engine.state import weights_up_to
from gpudl.layers.base.layer import Layer
from gpudl.registry import Config
from gpudl.saving.archive import ENDING, read_archive, write_archive
from gpudl.saving.h5_model import read_config, read_layers, read_optimizer, write_h5
from gpudl.saving.objects import deserialize_keras_object, serialize_keras_object
from gpudl.saving.shards import INDEX, load_sharded
from gpudl.saving.weights_file import ENDING as WEIGHTS_ENDING
from gpudl.saving.weights_file import checked_name, read_weights, require_built
from gpudl.utils.files import replacing

__all__ = ["load_model", "load_weights", "model_from_json", "save_model"]

PathLike = str | os.PathLike[str]
_OLDER = (".h5", ".hdf5")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_FORMAT = "3.15.0"
"""The version of Keras whose format the files have."""
_SMALL, _WIDER = 1 << 20, 100
"""A weight of a model may have this many bytes, or so many times those of the file, which may be compressed."""


def save_model(model: Layer, filepath: PathLike, overwrite: bool = True, zipped: bool | None = None) -> None:
    """Write a model to a file that Keras 3 opens too: its layers, its weights, and how it was compiled.

    The file is written beside its place and renamed, so that whatever happens the old file or the new one is there,
    whole.

    Args:
        model: a built model.
        filepath: ends in ``.keras``; or in ``.h5``, the older format, in which names of layers must be unique.
        overwrite: whether a file that is there may be replaced.
        zipped: a file is always one archive; False is refused.

    Raises:
        ValueError: another ending, a model that is not built, or a part of it that has no form as data.
        FileExistsError: a file is there and `overwrite` is false.
        OSError: the file cannot be written.
    """
    target = Path(filepath)
    older = target.suffix in _OLDER and not target.name.endswith(WEIGHTS_ENDING)
    if target.suffix != ENDING and not older:
        raise ValueError(f"A model is saved to a file that ends in `{ENDING}`, got {os.fspath(filepath)!r}. Rename it.")
    if zipped is False:
        raise ValueError("zipped=False, a folder in the place of a file, is not supported. Leave it out.")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already. Choose another name, or allow overwrite=True.")
    require_built(model, "save")
    config = serialize_keras_object(model)
    with replacing(target) as unfinished:
        if older:
            _write_older(model, config, unfinished)
        else:
            write_archive(model, json.dumps(config), unfinished, _FORMAT)


def _write_older(model: Layer, config: Config, unfinished: Path) -> None:
    import h5py

    with h5py.File(unfinished, "w") as file:
        write_h5(model, file, config, _FORMAT)


def load_model(
    filepath: PathLike,
    custom_objects: Mapping[str, object] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Return the model of a ``.keras`` or ``.h5`` file, of gpudl's or of Keras's, with its weights.

    A file is data: its classes are gpudl's own, registered ones, or in `custom_objects`. Nothing in it is imported or
    run, and no path or address in it is opened.

    Args:
        filepath: the file.
        custom_objects: the user's classes and functions by name.
        compile: whether to compile the model as it was, with the state of its optimizer.
        safe_mode: without effect: no file can do harm.

    Raises:
        ValueError: a file of another kind, a class that is not known, or weights that do not fit the layers.
        OSError: there is no such file.
    """
    source = Path(filepath)
    with source.open("rb") as file:
        start = file.read(8)

    def make(text: str | bytes, size: int) -> Layer:
        config = _parsed(text, str(source))
        if not compile:
            config.pop("compile_config", None)
        with weights_up_to(max(_SMALL, _WIDER * size)):
            return _model(config, custom_objects, str(source))

    if start == _HDF5:
        return _read_older(source, make)
    if not zipfile.is_zipfile(source):
        raise ValueError(f"{source} is no `{ENDING}` archive, which begins with PK; it begins with {start!r}.")
    return read_archive(source, make)


def _read_older(source: Path, make: Callable[[str, int], Layer]) -> Layer:
    import h5py

    with h5py.File(source, "r") as file:
        model = make(json.dumps(read_config(file, source)), source.stat().st_size)
        read_layers(model, file, source)
        read_optimizer(model, file, source)
    return model


def load_weights(model: Layer, filepath: PathLike, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Set the weights of `model` from a file of gpudl's or of Keras's.

    All of the file is compared with the model before the first weight is set.

    Args:
        model: a built model with the same layers in the same order as the one that was saved.
        filepath: ends in ``.weights.h5``, ``.weights.json`` or ``.keras``, or in ``.h5`` for the older format of whole
            models or weights.
        skip_mismatch: leave layers as they are, with a warning, that the file does not fit. That is done with an
            optimizer anyway.
        by_name: for the older format: set the weights of layers whose names are in the file, wherever they are.

    Raises:
        ValueError: another ending, a model that is not built, or a file that does not fit; the text names the layer and
            both shapes. No weight has changed then.
        OSError: there is no such file, or it is not HDF5.
    """
    import h5py

    source = Path(filepath)
    older = source.suffix in _OLDER and not source.name.endswith(WEIGHTS_ENDING)
    if by_name and not older:
        raise ValueError(f"by_name=True is for the older files, which end in `.h5`, got {os.fspath(filepath)!r}.")
    require_built(model, "load_weights")
    if source.suffix == ENDING:
        read_archive(source, lambda text, size: model, skip_mismatch)
        return
    if source.name.endswith(INDEX):
        load_sharded(model, source, skip_mismatch)
        return
    if not older:
        checked_name(filepath)
    with h5py.File(source, "r") as file:
        if older:
            read_layers(model, file, source, skip_mismatch, by_name)
        else:
            read_weights(model, [file], source, skip_mismatch)


def model_from_json(json_string: str, custom_objects: Mapping[str, object] | None = None) -> Any:
    """Return a new model, with new weights, of the text that ``model.to_json()`` returned, of gpudl's or of Keras's.

    Raises:
        ValueError: text that is no config of a model, or a class that is not known.
    """
    return _model(_parsed(json_string, "json_string"), custom_objects, "json_string")


def _parsed(text: str | bytes, source: str) -> Config:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} has no config of a model: {error}.") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"{source} has no config of a model, a dict with class_name and config.")
    return config


def _model(config: Config, custom_objects: Mapping[str, object] | None, source: str) -> Layer:
    made = deserialize_keras_object(config, custom_objects)
    if not isinstance(made, Layer):
        raise ValueError(f"{source} describes no model or layer, but {type(made).__name__}.")
    return made
