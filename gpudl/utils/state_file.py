"""Nests of numbers, text and arrays in one file, which is data only and carries a checksum.

A file is a mark, the length of a header, the header as JSON, the arrays one after another, and the SHA-256 of it all.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from gpudl.engine.spec import is_number
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import map_leaves
from gpudl.utils.files import replacing

State: TypeAlias = dict[str, Any]
"""What a file can have, by name: None, numbers, text, arrays, tensors, and lists and dicts of these."""
_Array: TypeAlias = np.ndarray | np.generic | Tensor

_MARK, _FORMAT = b"gpudl state\n", 1
_LENGTH, _DIGEST, _ALIGNED = 8, 32, 64


class DamagedFileError(ValueError):
    """A file is not what was written: its checksum is another, or it ends early."""


def write_state(path: str | os.PathLike[str], state: State, previous: Path | None = None) -> None:
    """Write a state to a file, whole or not at all; tuples in it become lists.

    With `previous` the file that was there is kept under that name.

    Raises:
        TypeError: something in it is no data; the text says where.
        OSError: the file cannot be written; what was there is as it was.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "notes.state"
        >>> write_state(place, {"epoch": 3, "best": np.float32([0.5])})
        >>> read_state(place)
        {'epoch': 3, 'best': array([0.5], dtype=float32)}
    """
    arrays = _Arrays()
    header = json.dumps({"format": _FORMAT, "state": arrays.encoded_items(state, "state")}).encode()
    with replacing(path, previous) as unfinished, unfinished.open("wb") as file:
        digest = hashlib.sha256()
        for piece in _pieces(header, arrays.listed):
            digest.update(piece)
            file.write(piece)
        file.write(digest.digest())


def read_state(path: str | os.PathLike[str]) -> State:
    """Return the state that a file has; large arrays are read when they are used, and are read-only.

    Raises:
        DamagedFileError: the file is not what was written, or of another kind.
        ValueError: a file of a newer format.
        OSError: there is no such file.
    """
    with Path(path).open("rb") as file:
        raw = _checked(file, str(path))
    start = len(_MARK) + _LENGTH
    length = int.from_bytes(raw[len(_MARK) : start].tobytes(), "little")
    try:
        header = json.loads(raw[start : start + length].tobytes())
        if header["format"] != _FORMAT:
            raise ValueError(
                f"{path} has format {header['format']}, and this gpudl reads {_FORMAT}. Install a newer one."
            )
        arrays = raw[_aligned(start + length) : -_DIGEST]
        return {name: _decoded(value, arrays) for name, value in header["state"].items()}
    except (KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
        raise DamagedFileError(f"{path} is damaged: its header cannot be read ({error}).") from error


def _checked(file: BinaryIO, path: str) -> np.ndarray:
    """Return the bytes of a file, which are those that were written."""
    size = os.fstat(file.fileno()).st_size
    mark = file.read(len(_MARK))
    if mark != _MARK[: len(mark)]:
        raise DamagedFileError(f"{path} is no file of a training's state, or damaged: it begins with {mark!r}.")
    if size < len(_MARK) + _LENGTH + _DIGEST:
        raise DamagedFileError(f"{path} is damaged: it ends after {size} bytes.")
    raw = np.memmap(file, np.uint8, "r")
    if hashlib.sha256(raw[:-_DIGEST].data).digest() != raw[-_DIGEST:].tobytes():
        raise DamagedFileError(f"{path} is damaged: its {size} bytes do not have the checksum that was written.")
    return raw


def _pieces(header: bytes, arrays: list[_Array]) -> Iterator[bytes | memoryview]:
    """Yield all bytes of a file before the checksum, one array at a time."""
    head = _MARK + len(header).to_bytes(_LENGTH, "little") + header
    yield head.ljust(_aligned(len(head)), b"\0")
    for leaf in arrays:
        array = leaf.numpy() if isinstance(leaf, Tensor) else np.asarray(leaf)
        native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        yield native.reshape(-1).view(np.uint8).data
        yield bytes(_aligned(native.nbytes) - native.nbytes)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def copied(state: State) -> State:
    """Return a state that depends neither on its file nor on who returned it: with copies of its arrays."""
    return {name: map_leaves(_copy, value) for name, value in state.items()}


def _copy(value: object) -> object:
    return np.array(value) if isinstance(value, np.ndarray) else value


class _Arrays:
    """The arrays of a file, in their order, and the number of bytes that they take."""

    def __init__(self) -> None:
        self.listed: list[_Array] = []
        self._size = 0

    def encoded(self, value: object, where: str) -> object:
        """Return a nest as JSON has it; its arrays are noted here."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, list | tuple):
            return [self.encoded(item, f"{where}[{number}]") for number, item in enumerate(value)]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"dict": self.encoded_items(value, where)}
        if isinstance(value, np.ndarray | np.generic | Tensor) and is_number(np.dtype(value.dtype)):
            return {"array": self._placed(value)}
        raise TypeError(
            f"{where} is {value!r}, of type {type(value).__name__}: a file of a training's state has numbers, text, "
            "arrays, and lists and dicts of them with text as keys."
        )

    def encoded_items(self, state: State, where: str) -> dict[str, object]:
        """Return a dict as JSON has it."""
        return {key: self.encoded(value, f"{where}[{key!r}]") for key, value in state.items()}

    def _placed(self, array: _Array) -> list[object]:
        """Return the dtype and the shape of an array, and where in the file it will be."""
        at = self._size
        self._size += _aligned(math.prod(array.shape) * array.dtype.itemsize)
        self.listed.append(array)
        return [array.dtype.name, list(array.shape), at]


def _decoded(value: object, raw: np.ndarray) -> object:
    if isinstance(value, list):
        return [_decoded(item, raw) for item in value]
    if isinstance(value, dict):
        if "dict" in value:
            return {key: _decoded(item, raw) for key, item in value["dict"].items()}
        return _array(raw, *value["array"])
    return value


def _array(raw: np.ndarray, name: str, shape: list[int], at: int) -> np.ndarray | np.generic:
    dtype = np.dtype(name)
    if not is_number(dtype):
        raise TypeError(f"{name} is no dtype of numbers")
    found: np.ndarray = np.ndarray(tuple(shape), dtype, raw, at)
    return found if shape else dtype.type(found)
