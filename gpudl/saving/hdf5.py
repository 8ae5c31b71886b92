"""HDF5 as data only: groups and arrays within one file, of a size that the file has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpudl.engine.spec import BFLOAT16
from gpudl.saving.kinds import another_kind
from gpudl.saving.stored import Saved
from gpudl.saving.window import Window

if TYPE_CHECKING:
    import h5py

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SMALL, _MOST_COMPRESSED = 1 << 20, 1000
"""An array may have this many bytes, or so many times those that it takes in the file."""
_DTYPE = "dtype"


def write(parts: Iterable[Saved], unfinished: Path) -> None:
    """Write what the parts of a model save to a new file."""
    with new_file(unfinished) as file:
        write_parts(parts, file)


@contextmanager
def new_file(unfinished: Path) -> Iterator[h5py.File]:
    """Give a new file to write to; an error of the system is raised when the block ends."""
    with unfinished.open("w+b") as file, new_in(Window(file, 0)) as made:
        yield made


@contextmanager
def new_in(window: Window) -> Iterator[h5py.File]:
    """Give a new file to write to, which is a part of another one."""
    import h5py

    try:
        with h5py.File(window, "w") as file:
            yield file
    except Exception as error:
        raise window.failure or error from None
    if window.failure is not None:
        raise window.failure


def write_parts(parts: Iterable[Saved], file: h5py.File) -> None:
    """Write what the parts of a model save to an open file, each in a group of its path."""
    for path, name, arrays in parts:
        group = file.create_group(path)
        group.attrs["name"] = name
        for number, array in arrays.items():
            put(group, number, array)


def put(group: h5py.Group, name: str, array: np.ndarray) -> None:
    """Write an array to a group; a dtype that HDF5 does not have is named in an attribute, as Keras does."""
    dataset = group.create_dataset(name, data=array)
    if array.dtype == BFLOAT16:
        dataset.attrs[_DTYPE] = BFLOAT16.name


@contextmanager
def opened_file(source: Path) -> Iterator[h5py.File]:
    """Open a file inside a ``with`` block.

    Raises:
        ValueError: a file of another kind, which is named, or one that is damaged.
        OSError: there is no such file.
    """
    if source.is_dir() or not is_hdf5(source):
        raise ValueError(f"{source} is no HDF5 file of weights: {another_kind(source)}.")
    with hdf5_in(source, source) as file:
        yield file


def is_hdf5(source: Path) -> bool:
    """Return whether a file begins as those of HDF5 do."""
    with source.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


@contextmanager
def hdf5_in(place: str | Path | Window, source: Path) -> Iterator[h5py.File]:
    """Open what is in a place, which is `source` or a part of it, inside a ``with`` block."""
    import h5py

    with undamaged(source):
        file = h5py.File(place, "r")
    with file:
        yield file


@contextmanager
def opened(source: Path) -> Iterator[Hdf5Weights]:
    """Open a file of weights inside a ``with`` block; see `opened_file`."""
    with opened_file(source) as file:
        yield Hdf5Weights([file], source)


@contextmanager
def undamaged(source: Path) -> Iterator[None]:
    """Say in a sentence that a file is damaged, where HDF5 finds it so inside a ``with`` block."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, TypeError, OverflowError) as error:
        raise ValueError(f"{source} is damaged: {error}. It is not loaded.") from error


def group_at(group: h5py.Group, path: str, source: Path) -> h5py.Group | None:
    """Return the group at a path below `group`, None where it is not there; no link is followed.

    Raises:
        ValueError: something on the path is a link, or no group.
    """
    import h5py

    for name in path.strip("/").split("/"):
        with undamaged(source):
            kind = group.get(name, getlink=True)
            if kind is None:
                return None
            inner = group[name] if isinstance(kind, h5py.HardLink) else None
        if not isinstance(inner, h5py.Group):
            raise ValueError(
                f"{source}: {group.name.rstrip('/')}/{name} is a link or no group. This file is not loaded."
            )
        group = inner
    return group


def dataset_in(group: h5py.Group, name: str, source: Path) -> h5py.Dataset:
    """Return an array of numbers in a group, not read yet, of which is known that it can be.

    Raises:
        ValueError: a link, an array outside the file or of something else, one that is larger than the file can hold,
            or a compressed one that is damaged.
    """
    import h5py

    with undamaged(source):
        kind = group.get(name, getlink=True)
        item = group[name] if isinstance(kind, h5py.HardLink) else None
        if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual or not _has_numbers(item):
            raise ValueError(
                f"{source}: {group.name}/{name} is not an array of numbers within the file. This file is not loaded."
            )
        if item.nbytes > max(_SMALL, _MOST_COMPRESSED * item.id.get_storage_size()):
            raise ValueError(
                f"{source}: {group.name}/{name} says that it has {item.nbytes:,} bytes, of which the file holds "
                f"{item.id.get_storage_size():,}. This file is not loaded."
            )
        for part in item.iter_chunks() if item.chunks is not None and item.size else ():
            item[part]  # so that damage is found before any weight is set
    return item


def _has_numbers(item: h5py.Dataset) -> bool:
    dtype = item.dtype
    return item.shape is not None and dtype.kind in "biufV" and dtype.fields is None and dtype.subdtype is None


class Hdf5Array:
    """An array in an open file."""

    def __init__(self, dataset: h5py.Dataset, source: Path) -> None:
        self._dataset, self._source = dataset, source
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype = BFLOAT16 if dataset.attrs.get(_DTYPE) == BFLOAT16.name else dataset.dtype

    def read(self, out: np.ndarray) -> None:
        """Read it into memory of the same shape and dtype, without gaps."""
        with undamaged(self._source):
            self._dataset.read_direct(out.view(self._dataset.dtype))


class Hdf5Weights:
    """Open files, in which the weights of a model are, each part in a group of its path."""

    def __init__(self, files: Sequence[h5py.File], source: Path) -> None:
        self._files, self._source = files, source

    def arrays(self, path: str) -> dict[str, Hdf5Array]:
        """Return the arrays at the path of a part of a model, by name; none where there is nothing."""
        found: dict[str, Hdf5Array] = {}
        for file in self._files:
            group = group_at(file, f"{path}/vars", self._source)
            found |= {name: array_in(group, name, self._source) for name in names_in(group, self._source)}
        return found


def names_in(group: h5py.Group | None, source: Path) -> list[str]:
    """Return the names of what is in a group; none for None."""
    with undamaged(source):
        return [] if group is None else list(group)


def array_in(group: h5py.Group, name: str, source: Path) -> Hdf5Array:
    """Return an array in a group; see `dataset_in`."""
    return Hdf5Array(dataset_in(group, name, source), source)
