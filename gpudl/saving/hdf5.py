"""Reading HDF5 as data only: groups and arrays within one file, of a size that the file has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpudl.engine.state import warn_user

if TYPE_CHECKING:
    import h5py

_SMALL, _MOST_COMPRESSED = 1 << 20, 1000
"""An array may have this many bytes, or so many times those that it takes in the file."""


def leave_or_refuse(source: Path, who: str, problem: str, skip_mismatch: bool) -> None:
    """Say that weights of a file do not fit a layer, which stays as it is; else raise ValueError."""
    if not skip_mismatch:
        raise ValueError(
            f"{source} does not fit the model: {problem} No weight was changed. "
            "skip_mismatch=True leaves such layers as they are."
        )
    warn_user(f"load_weights leaves {who!r} as it is: {problem}")


def group_at(group: h5py.Group, path: str, source: Path) -> h5py.Group | None:
    """Return the group at a path below `group`, None where it is not there; no link is followed.

    Raises:
        ValueError: something on the path is a link, or no group.
    """
    import h5py

    for name in path.strip("/").split("/"):
        kind = group.get(name, getlink=True)
        if kind is None:
            return None
        if not isinstance(kind, h5py.HardLink) or not isinstance(group[name], h5py.Group):
            raise ValueError(
                f"{source}: {group.name.rstrip('/')}/{name} is a link or no group. This file is not loaded."
            )
        group = group[name]
    return group


def dataset_in(group: h5py.Group, name: str, source: Path) -> h5py.Dataset:
    """Return an array of numbers in a group, not read yet, of which is known that it can be.

    Raises:
        ValueError: a link, an array outside the file or of something else, or larger than the file can hold.
        OSError: a compressed array that is damaged.
    """
    import h5py

    kind = group.get(name, getlink=True)
    item = group[name] if isinstance(kind, h5py.HardLink) else None
    if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual or item.dtype.kind not in "biufV":
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
