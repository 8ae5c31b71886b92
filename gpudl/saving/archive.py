"""Keras's archives, ``*.keras``: the config, the weights and the optimizer's state of a model, in one file."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

from gpudl.layers.base.layer import Layer
from gpudl.saving.hdf5 import Hdf5Weights, hdf5_in, new_in, write_parts
from gpudl.saving.kinds import another_kind
from gpudl.saving.model_text import LARGEST_TEXT
from gpudl.saving.parts import parts_of
from gpudl.saving.weights_file import read_weights, saved_parts
from gpudl.saving.window import Window, checksum, data_of

if TYPE_CHECKING:
    import h5py

ENDING = ".keras"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_VOCABULARY = "vocabulary.txt"
_MOST_COMPRESSED = 100
VERSION = "3.15.0"
"""The version of Keras whose format the files have."""


@runtime_checkable
class Learning(Protocol):
    """A layer that saves what it has learnt to a file of its own."""

    def save_assets(self, dir_path: str) -> None:
        """Write the file to a folder."""

    def load_assets(self, dir_path: str) -> None:
        """Read the file in a folder."""


def write_archive(model: Layer, config: str, unfinished: Path) -> None:
    """Write a model and its config to an archive."""
    written = {"keras_version": VERSION, "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S")}
    with unfinished.open("w+b") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(METADATA, json.dumps(written))
        archive.writestr(CONFIG, config)
        with tempfile.TemporaryDirectory(prefix=".", dir=unfinished.parent) as folder:
            for path, part in _with_assets(model):
                part.save_assets(folder)
                if (learnt := Path(folder, _VOCABULARY)).exists():
                    archive.write(learnt, f"assets/{path}/{_VOCABULARY}")
                    learnt.unlink()
        _write_weights(model, archive, file, unfinished)


def _write_weights(model: Layer, archive: zipfile.ZipFile, file: BinaryIO, unfinished: Path) -> None:
    """Write the weights to the end of an archive, in their place, and only then the header with their checksum."""
    member = zipfile.ZipInfo(WEIGHTS, datetime.now().timetuple()[:6])
    member.external_attr = 0o600 << 16
    member.file_size = member.compress_size = member.CRC = 0  # not known yet
    member.header_offset = file.seek(archive.start_dir)
    file.write(member.FileHeader(zip64=True))
    start = file.tell()
    window = Window(file, start)
    with new_in(window) as weights:
        write_parts(saved_parts(model), weights)
    file.flush()
    archive.start_dir = file.seek(0, os.SEEK_END)
    member.file_size = member.compress_size = archive.start_dir - start
    with ThreadPoolExecutor(1) as beside:
        computed = beside.submit(checksum, unfinished, start, member.file_size)
        os.fsync(file.fileno())
        member.CRC = computed.result()
    file.seek(member.header_offset)
    file.write(member.FileHeader(zip64=True))
    archive.filelist.append(member)
    archive.NameToInfo[member.filename] = member


def read_archive(source: Path, make: Callable[[bytes, int], Layer]) -> Layer:
    """Return the model of an archive; `make` makes it, from the config and the number of bytes of the weights.

    Raises:
        ValueError: a file of another kind, which is named; one that is damaged; or one that does not fit itself.
    """
    with opened_archive(source) as archive:
        with intact(source):
            text = archive.read(CONFIG)
            written_by = version_of(archive)
        if hasattr(os, "posix_fadvise"):  # the weights are read from the disk while the model is built
            with suppress(OSError), source.open("rb") as file_to_come:
                os.posix_fadvise(file_to_come.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        try:
            model = make(text, archive.getinfo(WEIGHTS).file_size)
        except ValueError as error:
            if _numbers(written_by) <= _numbers(VERSION):
                raise
            raise ValueError(
                f"{error} Keras {written_by} has written the file, and gpudl reads what Keras {VERSION} writes."
            ) from error
        with weights_file_of(archive, source) as (file, require_checksum):  # which is computed meanwhile
            read_weights(model, Hdf5Weights([file], source), source)
            require_checksum()
        _read_assets(model, archive, source)
    return model


def version_of(archive: zipfile.ZipFile) -> str:
    """Return the version of Keras that an archive says has written it, or an empty text."""
    try:
        return str(json.loads(archive.read(METADATA))["keras_version"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""


def _numbers(version: str) -> list[int]:
    """Return the major and the minor number of a version."""
    return [int(number) if number.isdecimal() and len(number) < 5 else 0 for number in version.split(".")[:2]]


def load_archive(model: Layer, source: Path, skip_mismatch: bool = False) -> None:
    """Set the weights of a model, and what it has learnt, from an archive; see `saving.load_weights`."""
    with opened_archive(source) as archive:
        with weights_file_of(archive, source) as (file, require_checksum):
            require_checksum()
            read_weights(model, Hdf5Weights([file], source), source, skip_mismatch)
        _read_assets(model, archive, source)


@contextmanager
def weights_file_of(archive: zipfile.ZipFile, source: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Give the file of weights that is in an archive, and what raises ValueError if its checksum is another."""
    member = archive.getinfo(WEIGHTS)
    with ExitStack() as stack:
        if member.compress_type == zipfile.ZIP_STORED:
            file = stack.enter_context(source.open("rb", buffering=0))
            with intact(source):
                place: Window | str = (window := data_of(file, member))
            beside = stack.enter_context(ThreadPoolExecutor(1))
            computed = beside.submit(checksum, source, window.start, member.file_size)
        else:  # the archive is another program's
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            with intact(source):
                place = archive.extract(member, folder)
            computed = None

        def require_checksum() -> None:
            if computed is not None and computed.result() != member.CRC:
                raise ValueError(f"{source} is damaged: the checksum of its weights is another. It is not loaded.")

        yield stack.enter_context(hdf5_in(place, source)), require_checksum


def _read_assets(model: Layer, archive: zipfile.ZipFile, source: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path, part in _with_assets(model):
            if (name := f"assets/{path}/{_VOCABULARY}") in archive.namelist():
                with intact(source):
                    Path(folder, _VOCABULARY).write_bytes(archive.read(name))
                part.load_assets(folder)


def _with_assets(model: Layer) -> Iterator[tuple[str, Learning]]:
    """Yield the layers that learn a vocabulary, and their paths."""
    for path, part in parts_of(model):
        if isinstance(part, Learning):
            yield path, part


@contextmanager
def intact(source: Path) -> Iterator[None]:
    """Say in a sentence that a file is damaged, where its parts do not have their checksums."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
        raise ValueError(f"{source} is damaged: {error}. It is not loaded.") from error


@contextmanager
def opened_archive(source: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive inside a ``with`` block, after a look at what it says that it has.

    Raises:
        ValueError: a file of another kind, which is named, or one that says that it has more than it can have.
    """
    if not zipfile.is_zipfile(source):
        raise ValueError(f"{source} is no `{ENDING}` archive: {another_kind(source)}.")
    with intact(source):
        archive = zipfile.ZipFile(source)
    with archive:
        _check_members(archive, source)
        yield archive


def _check_members(archive: zipfile.ZipFile, source: Path) -> None:
    names = archive.namelist()
    if CONFIG not in names:
        raise ValueError(f"{source} is no `{ENDING}` archive: {another_kind(source)}. It is not loaded.")
    for needed in (CONFIG, WEIGHTS):
        if names.count(needed) != 1:
            raise ValueError(
                f"{source} has {names.count(needed)} files {needed!r}, and a model has one. It is not loaded."
            )
    for member in archive.infolist():
        most = LARGEST_TEXT if member.filename != WEIGHTS else member.compress_size * _MOST_COMPRESSED
        if member.file_size > most:
            raise ValueError(
                f"{source}: {member.filename} says that it has {member.file_size:,} bytes, more than {most:,}. It "
                "is not loaded."
            )
