"""Whole models in Keras's archives, ``*.keras``: the config, the weights and the optimizer's state, as data only."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from gpudl.engine.state import weights_up_to
from gpudl.layers.base.layer import Layer
from gpudl.saving.objects import deserialize_keras_object, serialize_keras_object
from gpudl.saving.weights_file import read_weights, write_weights
from gpudl.utils.files import replacing

__all__ = ["load_model", "model_from_json", "save_model"]

PathLike = str | os.PathLike[str]
ENDING = ".keras"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LARGEST_TEXT, _MOST_COMPRESSED = 64 << 20, 100
_SMALL, _WIDER = 1 << 20, 100
"""A weight of a model may have this many bytes, or so many times those of the file, which may be compressed."""
_FORMAT = "3.15.0"
"""The version of Keras whose format the archives have."""


def save_model(model: Layer, filepath: PathLike, overwrite: bool = True, zipped: bool | None = None) -> None:
    """Write a model to a ``.keras`` file, which Keras 3 opens too: its layers, its weights, and how it was compiled.

    The file is written beside its place and renamed, so that whatever happens the old file or the new one is there,
    whole.

    Args:
        model: a built model.
        filepath: must end in ``.keras``.
        overwrite: whether a file that is there may be replaced.
        zipped: a file is always one archive; False is refused.

    Raises:
        ValueError: another ending, a model that is not built, or a part of it that has no form as data.
        FileExistsError: a file is there and `overwrite` is false.
        OSError: the file cannot be written.
    """
    import h5py

    target = Path(filepath)
    if target.suffix != ENDING:
        raise ValueError(f"A model is saved to a file that ends in `{ENDING}`, got {os.fspath(filepath)!r}. Rename it.")
    if zipped is False:
        raise ValueError("zipped=False, a folder in the place of a file, is not supported. Leave it out.")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already. Choose another name, or allow overwrite=True.")
    if not model.built:
        raise ValueError(
            f"save: {type(model).__name__} {model.name!r} has no weights yet. Call it on a batch first, or build() it."
        )
    config = json.dumps(serialize_keras_object(model))
    written = {"keras_version": _FORMAT, "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S")}
    with replacing(target) as unfinished, tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as name:
        weights = Path(name, _WEIGHTS)
        with h5py.File(weights, "w") as file:
            write_weights(model, file)
        with zipfile.ZipFile(unfinished, "w") as archive:
            archive.writestr(_METADATA, json.dumps(written))
            archive.writestr(_CONFIG, config)
            archive.write(weights, _WEIGHTS)


def load_model(
    filepath: PathLike,
    custom_objects: Mapping[str, object] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Return the model of a ``.keras`` file, of gpudl's or of Keras 3's, with its weights.

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
    import h5py

    source = Path(filepath)
    with _undamaged(source), _opened(source) as archive:
        config = _parsed(archive.read(_CONFIG), str(source))
        if not compile:
            config.pop("compile_config", None)
        with weights_up_to(max(_SMALL, _WIDER * archive.getinfo(_WEIGHTS).file_size)):
            model = _model(config, custom_objects, str(source))
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder, _WEIGHTS)
            with archive.open(_WEIGHTS) as packed, weights.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
            with h5py.File(weights, "r") as file:
                read_weights(model, file, source)
    return model


def model_from_json(json_string: str, custom_objects: Mapping[str, object] | None = None) -> Any:
    """Return a new model, with new weights, of the text that ``model.to_json()`` returned, of gpudl's or of Keras's.

    Raises:
        ValueError: text that is no config of a model, or a class that is not known.
    """
    return _model(_parsed(json_string, "json_string"), custom_objects, "json_string")


@contextmanager
def _undamaged(source: Path) -> Iterator[None]:
    """Say in a sentence that a file is damaged, where its parts do not have their checksums."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{source} is damaged: {error}. It is not loaded.") from error


def _opened(source: Path) -> zipfile.ZipFile:
    """Return the archive, after a look at what it says that it has."""
    with source.open("rb") as file:
        start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n":
        raise ValueError(
            f"{source} is an HDF5 file: load_weights() reads weights from it, into a model of your program."
        )
    if not zipfile.is_zipfile(source):
        raise ValueError(f"{source} is no `{ENDING}` archive, which begins with PK; it begins with {start!r}.")
    archive = zipfile.ZipFile(source)
    try:
        _check_members(archive, source)
    except BaseException:
        archive.close()
        raise
    return archive


def _check_members(archive: zipfile.ZipFile, source: Path) -> None:
    names = archive.namelist()
    for needed in (_CONFIG, _WEIGHTS):
        if names.count(needed) != 1:
            raise ValueError(
                f"{source} has {names.count(needed)} files {needed!r}, and a model has one. It is not loaded."
            )
    for member in archive.infolist():
        most = _LARGEST_TEXT if member.filename != _WEIGHTS else member.compress_size * _MOST_COMPRESSED
        if member.file_size > most:
            raise ValueError(
                f"{source}: {member.filename} says that it has {member.file_size:,} bytes, more than {most:,}. It "
                "is not loaded."
            )


def _parsed(text: str | bytes, source: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} has no config of a model: {error}.") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"{source} has no config of a model, a dict with class_name and config.")
    return config


def _model(config: dict[str, Any], custom_objects: Mapping[str, object] | None, source: str) -> Any:
    made = deserialize_keras_object(config, custom_objects)
    if not isinstance(made, Layer):
        raise ValueError(f"{source} describes no model or layer, but {type(made).__name__}.")
    return made
