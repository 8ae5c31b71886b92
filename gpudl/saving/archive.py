"""Keras's archives, ``*.keras``: the config, the weights and the optimizer's state of a model, in one file."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from gpudl.layers.base.layer import Layer
from gpudl.saving.parts import parts_of
from gpudl.saving.weights_file import read_weights, write_weights

ENDING = ".keras"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_VOCABULARY = "vocabulary.txt"
_LARGEST_TEXT, _MOST_COMPRESSED = 64 << 20, 100


@runtime_checkable
class Learning(Protocol):
    """A layer that saves what it has learnt to a file of its own."""

    def save_assets(self, dir_path: str) -> None:
        """Write the file to a folder."""

    def load_assets(self, dir_path: str) -> None:
        """Read the file in a folder."""


def write_archive(model: Layer, config: str, unfinished: Path, version: str) -> None:
    """Write a model and its config to an archive."""
    import h5py

    written = {"keras_version": version, "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S")}
    with tempfile.TemporaryDirectory(prefix=".", dir=unfinished.parent) as folder:
        weights = Path(folder, _WEIGHTS)
        with h5py.File(weights, "w") as file:
            write_weights(model, file)
        with zipfile.ZipFile(unfinished, "w") as archive:
            archive.writestr(_METADATA, json.dumps(written))
            archive.writestr(_CONFIG, config)
            archive.write(weights, _WEIGHTS)
            for path, part in _with_assets(model):
                part.save_assets(folder)
                if (learnt := Path(folder, _VOCABULARY)).exists():
                    archive.write(learnt, f"assets/{path}/{_VOCABULARY}")
                    learnt.unlink()


def read_archive(source: Path, make: Callable[[bytes, int], Layer], skip_mismatch: bool = False) -> Layer:
    """Return the model of an archive; `make` makes it, from the config and the number of bytes of the weights."""
    import h5py

    with _undamaged(source), _opened(source) as archive:
        model = make(archive.read(_CONFIG), archive.getinfo(_WEIGHTS).file_size)
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder, _WEIGHTS)
            with archive.open(_WEIGHTS) as packed, weights.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
            with h5py.File(weights, "r") as file:
                read_weights(model, [file], source, skip_mismatch)
            for path, part in _with_assets(model):
                if (name := f"assets/{path}/{_VOCABULARY}") in archive.namelist():
                    Path(folder, _VOCABULARY).write_bytes(archive.read(name))
                    part.load_assets(folder)
    return model


def _with_assets(model: Layer) -> Iterator[tuple[str, Learning]]:
    """Yield the layers that learn a vocabulary, and their paths."""
    for path, part in parts_of(model):
        if isinstance(part, Learning):
            yield path, part


@contextmanager
def _undamaged(source: Path) -> Iterator[None]:
    """Say in a sentence that a file is damaged, where its parts do not have their checksums."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{source} is damaged: {error}. It is not loaded.") from error


def _opened(source: Path) -> zipfile.ZipFile:
    """Return the archive, after a look at what it says that it has."""
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
