"""Weights in NumPy's archives, ``*.npz``: an array for each weight, under its path."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from gpudl.saving.kinds import another_kind
from gpudl.saving.stored import ArraysByPath, Saved

_MOST_COMPRESSED, _LONGEST_HEADER = 1100, 1 << 16
_BLOCK = 1 << 20


def write(parts: Iterable[Saved], unfinished: Path) -> None:
    """Write what the parts of a model save to a file."""
    with zipfile.ZipFile(unfinished, "w") as archive:
        for path, _, arrays in parts:
            for name, array in arrays.items():
                with archive.open(f"{path}/{name}.npy", "w", force_zip64=True) as member:
                    npy.write_array(member, array, allow_pickle=False)


@contextmanager
def opened(source: Path) -> Iterator[ArraysByPath]:
    """Open a file, and look at what it says that it has.

    Raises:
        ValueError: this is no such file, it is damaged, or has something else than arrays of numbers.
    """
    if source.is_dir() or not zipfile.is_zipfile(source):
        raise ValueError(f"{source} is no `.npz` archive: {another_kind(source)}.")
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if not all(one.filename.endswith(".npy") for one in members):
                raise ValueError(f"{source} is no `.npz` archive of arrays alone: {another_kind(source)}.")
            yield ArraysByPath({one.filename.removesuffix(".npy"): NpyArray(archive, one, source) for one in members})
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{source} is damaged: {error}. It is not loaded.") from error


class NpyArray:
    """An array of an archive, of which the header alone has been read."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: Path) -> None:
        self._archive, self._member = archive, member
        who = f"{source}: {member.filename}"
        if member.file_size > _MOST_COMPRESSED * member.compress_size:
            raise ValueError(
                f"{who} says that it has {member.file_size:,} bytes, of which the file holds {member.compress_size:,}. "
                "This file is not loaded."
            )
        with archive.open(member) as file:
            try:
                version = npy.read_magic(file)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                self.shape, self._columns, self.dtype = read(file, max_header_size=_LONGEST_HEADER)
            except (ValueError, SyntaxError, RecursionError, MemoryError, struct.error, tokenize.TokenError) as error:
                raise ValueError(f"{who} is no array of NumPy: {error}. This file is not loaded.") from error
            self._start = file.tell()
        if self.dtype.hasobject or self.dtype.kind not in "biufV" or self.dtype.fields is not None:
            raise ValueError(f"{who} is not an array of numbers, but of {self.dtype}. This file is not loaded.")
        held = member.file_size - self._start
        if self.dtype.itemsize * _product(self.shape) != held:
            raise ValueError(
                f"{who} says that it has the shape {self.shape} of {self.dtype}, and has {held:,} bytes. This file is "
                "not loaded."
            )

    def read(self, out: np.ndarray) -> None:
        """Read it into memory of the same shape and dtype, without gaps."""
        target = np.empty(self.shape[::-1], self.dtype) if self._columns else out
        memory = target.reshape(-1).view(np.uint8).data
        with self._archive.open(self._member) as file:
            file.seek(self._start)
            done = 0
            while part := file.read(min(_BLOCK, len(memory) - done)):
                memory[done : done + len(part)] = part
                done += len(part)
        if self._columns:
            out[...] = target.T


def _product(shape: tuple[int, ...]) -> int:
    """Return the product of sizes, which no overflow makes small."""
    size = 1
    for length in shape:
        size *= int(length)
    return size
