"""Whole models in files: Keras's archives, ``*.keras``, and its older HDF5 files, ``*.h5``; and models as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpudl.engine.state import weights_awaited, weights_up_to
from gpudl.layers.base.layer import Layer
from gpudl.registry import Config
from gpudl.saving.archive import ENDING, VERSION, load_archive, read_archive, write_archive
from gpudl.saving.h5_model import layers_from, optimizer_from, read_config, write_h5
from gpudl.saving.hdf5 import is_hdf5, new_file, opened_file
from gpudl.saving.model_text import model_of, parsed
from gpudl.saving.objects import serialize_keras_object
from gpudl.saving.place import require_place
from gpudl.saving.shards import INDEX, load_sharded
from gpudl.saving.stored import fill
from gpudl.saving.weights_file import read_weights, require_built
from gpudl.saving.weights_formats import ENDING as WEIGHTS_ENDING
from gpudl.saving.weights_formats import PathLike, format_of
from gpudl.utils.files import replacing

__all__ = ["load_model", "load_weights", "model_from_json", "save_model"]

_OLDER = (".h5", ".hdf5")
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
    require_place(target, overwrite)
    require_built(model, "save")
    config = serialize_keras_object(model)
    with replacing(target) as unfinished:
        if older:
            _write_older(model, config, unfinished)
        else:
            write_archive(model, json.dumps(config), unfinished)


def _write_older(model: Layer, config: Config, unfinished: Path) -> None:
    with new_file(unfinished) as file:
        write_h5(model, file, config, VERSION)


def load_model(
    filepath: PathLike,
    custom_objects: Mapping[str, object] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Return the model of a ``.keras`` or ``.h5`` file, of gpudl's or of Keras's, with its weights.

    A file is data: its classes are gpudl's own, registered ones, or in `custom_objects`. Nothing in it is imported or
    run, and no path or address in it is opened. Weights may be any numbers, NaN too: a model that has diverged is still
    a model.

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

    def make(text: object, size: int) -> Layer:
        config = parsed(text, str(source))
        if not compile:
            config.pop("compile_config", None)
        with weights_up_to(max(_SMALL, _WIDER * size)):
            return model_of(config, custom_objects, str(source))

    with weights_awaited():
        if not source.is_dir() and is_hdf5(source):
            return _read_older(source, make)
        return read_archive(source, make)


def _read_older(source: Path, make: Callable[[str, int], Layer]) -> Layer:
    with opened_file(source) as file:
        model = make(json.dumps(read_config(file, source)), source.stat().st_size)
        fill([*optimizer_from(model, file, source), *layers_from(model, file, source)])
    return model


def load_weights(model: Layer, filepath: PathLike, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Set the weights of `model` from a file of gpudl's or of Keras's.

    All of the file is compared with the model before the first weight is set.

    Args:
        model: a built model with the same layers in the same order as the one that was saved.
        filepath: ends in ``.weights.h5``, ``.weights.json``, ``.npz``, ``.safetensors`` or ``.keras``, or in ``.h5``
            for the older format of whole models or weights.
        skip_mismatch: leave layers as they are, with a warning, that the file does not fit. That is done with an
            optimizer anyway.
        by_name: for the older format: set the weights of layers whose names are in the file, wherever they are.

    Raises:
        ValueError: another ending, a model that is not built, a file of another kind, a damaged one, or one that does
            not fit; the text names the layer and both shapes. No weight has changed then.
        OSError: there is no such file.
    """
    source = Path(filepath)
    older = source.suffix in _OLDER and not source.name.endswith(WEIGHTS_ENDING)
    if by_name and not older:
        raise ValueError(f"by_name=True is for the older files, which end in `.h5`, got {os.fspath(filepath)!r}.")
    require_built(model, "load_weights")
    if source.suffix == ENDING:
        load_archive(model, source, skip_mismatch)
    elif source.name.endswith(INDEX):
        load_sharded(model, source, skip_mismatch)
    elif older:
        with opened_file(source) as file:
            fill(layers_from(model, file, source, skip_mismatch, by_name))
    else:
        with format_of(filepath).opened(source) as weights:
            read_weights(model, weights, source, skip_mismatch)


def model_from_json(json_string: str, custom_objects: Mapping[str, object] | None = None) -> Any:
    """Return a new model, with new weights, of the text that ``model.to_json()`` returned, of gpudl's or of Keras's.

    Raises:
        ValueError: text that is no config of a model, or a class that is not known.
    """
    return model_of(parsed(json_string, "json_string"), custom_objects, "json_string")
