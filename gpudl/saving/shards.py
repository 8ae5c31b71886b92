"""Weights in several files of a limited size, and an index of them, as Keras 3 writes them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from gpudl.layers import Layer
from gpudl.saving.hdf5 import Hdf5Weights, new_file, opened_file, write_parts
from gpudl.saving.place import require_place
from gpudl.saving.stored import Saved
from gpudl.saving.weights_file import read_weights, require_built, saved_parts
from gpudl.saving.weights_formats import ENDING, PathLike, format_of
from gpudl.utils.files import replacing

INDEX = ".weights.json"
_SAVE = "save"
"""An attribute of each file, equal in all that were saved together."""
_GIGABYTE = 1024**3
_WHAT = "of an index is a dict with weight_map, the names of the files of each group"
Piece = dict[str, Saved]
"""What one file has, by the path of the group."""


def save_weights(model: Layer, filepath: PathLike, overwrite: bool = True, max_shard_size: float | None = None) -> None:
    """Write the weights of `model`, and the state of its optimizer, to a file, or to several.

    A file is written beside its place and renamed, so that whatever happens the old file or the new one is there,
    whole.

    Args:
        model: a built model.
        filepath: ends in ``.weights.h5``, which Keras reads; or in ``.npz`` or ``.safetensors``, with the same arrays
            under the same paths: ``layers/dense/vars/0``.
        overwrite: whether a file that is there may be replaced.
        max_shard_size: the most gigabytes of weights in a file: then they are in several, ``name_00000.weights.h5``
            and so on, and `load_weights` takes their index, ``name.weights.json``. None for one file.

    Raises:
        ValueError: another ending, a model that is not built, a library that is missing, or one array larger than a
            file may be.
        FileExistsError: a file is there and `overwrite` is false.
        OSError: a file cannot be written.
    """
    if max_shard_size is None:
        _save_whole(model, filepath, overwrite)
    else:
        _save_sharded(model, filepath, max_shard_size, overwrite)


def _save_whole(model: Layer, filepath: PathLike, overwrite: bool) -> None:
    kind, target = format_of(filepath), Path(filepath)
    require_place(target, overwrite)
    require_built(model, "save_weights")
    with replacing(target) as unfinished:
        kind.write(saved_parts(model), unfinished)


def _save_sharded(model: Layer, filepath: PathLike, max_shard_size: float, overwrite: bool = True) -> None:
    index = index_name(filepath)
    require_built(model, "save_weights")
    require_place(index, overwrite)
    pieces = list(_pieces(model, max_shard_size * _GIGABYTE))
    stem, save = index.name.removesuffix(INDEX), secrets.token_hex(8)
    groups: dict[str, list[str]] = {}
    total = sum(array.nbytes for piece in pieces for saved in piece.values() for array in saved.arrays.values())
    with ExitStack() as stack:  # none takes its place before all are written; the index, entered first, is the last one
        unfinished = stack.enter_context(replacing(index))
        for number, piece in enumerate(pieces):
            name = f"{stem}_{number:05d}{ENDING}"
            with new_file(stack.enter_context(replacing(index.with_name(name)))) as file:
                file.attrs[_SAVE] = save
                write_parts(piece.values(), file)
            for path in piece:
                groups.setdefault(f"/{path}", []).append(name)
        unfinished.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": groups}, indent=4))


def _pieces(model: Layer, most: float) -> Iterator[Piece]:
    """Yield what each file has, in the order of the model's parts."""
    piece: Piece = {}
    size = 0
    for path, name, arrays in saved_parts(model):
        for key, array in arrays.items():
            if array.nbytes > most:
                raise ValueError(
                    f"the array {path}/{key} has {array.nbytes} bytes, more than the {int(most)} of max_shard_size. "
                    "Allow larger files."
                )
            if size + array.nbytes > most:
                yield piece
                piece, size = {}, 0
            piece.setdefault(path, Saved(path, name, {})).arrays[key] = array
            size += array.nbytes
    yield piece


def load_sharded(model: Layer, filepath: PathLike, skip_mismatch: bool = False) -> None:
    """Set the weights of `model` from the files of an index; see `save_weights` and `saving.load_weights`.

    Raises:
        ValueError: the index is none, names a file elsewhere, or the files do not fit the model, or one another.
        OSError: a file is not there.
    """
    index = index_name(filepath)
    require_built(model, "load_weights")
    with ExitStack() as stack:
        files = [stack.enter_context(opened_file(index.with_name(name))) for name in names_of(index)]
        if len({str(file.attrs.get(_SAVE)) for file in files}) > 1:  # a save was interrupted when it renamed them
            raise ValueError(f"the files of {index} are not of one save: some are newer. Save the weights again.")
        read_weights(model, Hdf5Weights(files, index), index, skip_mismatch)


def names_of(index: Path) -> list[str]:
    """Return the names of the files of an index, which lie beside it."""
    try:
        names = [name for listed in json.loads(index.read_text())["weight_map"].values() for name in listed]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of weights: the JSON {_WHAT}.") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(ENDING):
            raise ValueError(f"{index} names {name!r}, which is no file of weights beside it. It is not loaded.")
    return list(dict.fromkeys(names))


def index_name(filepath: PathLike) -> Path:
    """Return the path of an index; raise ValueError for another ending."""
    path = Path(filepath)
    for ending in (ENDING, INDEX):
        if path.name.endswith(ending):
            return path.with_name(path.name.removesuffix(ending) + INDEX)
    raise ValueError(f"The filename must end in `{INDEX}` or `{ENDING}`, got {str(filepath)!r}.")
