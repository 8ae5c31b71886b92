"""Arrays that are in a file, whatever its format, and what is read of them into the weights of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from gpudl import backend
from gpudl.backend import Array
from gpudl.engine.spec import is_floating
from gpudl.engine.state import warn_user
from gpudl.engine.variable import Variable, initialize


class StoredArray(Protocol):
    """An array in an open file, of a size that the file has; it is not read yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""

    @property
    def dtype(self) -> np.dtype:
        """Its dtype; of kind ``V`` where the format does not say what the bytes mean."""

    def read(self, out: np.ndarray) -> None:
        """Read it into memory of the same shape and dtype, without gaps."""


class StoredWeights(Protocol):
    """An open file of weights."""

    def arrays(self, path: str) -> Mapping[str, StoredArray]:
        """Return the arrays at the path of a part of a model, by name; none where there is nothing.

        Raises:
            ValueError: something there is no array within the file, or larger than the file can hold.
        """


class ArraysByPath:
    """An open file of weights, which has an array for each path, and no groups."""

    def __init__(self, every: Mapping[str, StoredArray]) -> None:
        self._groups: dict[str, dict[str, StoredArray]] = {}
        for path, array in every.items():
            folder, _, name = path.rpartition("/")
            self._groups.setdefault(folder, {})[name] = array

    def every(self) -> Mapping[str, StoredArray]:
        """Return all arrays, by their whole paths."""
        return {f"{folder}/{name}": array for folder, inside in self._groups.items() for name, array in inside.items()}

    def arrays(self, path: str) -> Mapping[str, StoredArray]:
        """Return the arrays at the path of a part of a model, by name; none where there is nothing."""
        return self._groups.get(f"{path}/vars".lstrip("/"), {})


class Saved(NamedTuple):
    """What a part of a model saves.

    Attributes:
        path: where in a file.
        name: the name of the part.
        arrays: the values, by number, as text; they are only to be read.
    """

    path: str
    name: str
    arrays: dict[str, np.ndarray]


class Pair(NamedTuple):
    """A weight of a model, and the array that it gets."""

    variable: Variable
    stored: StoredArray


def fits(dtype: np.dtype, stored: np.dtype, also_whole: bool = False) -> bool:
    """Return whether a weight of one dtype can have the values of an array of another: numbers of the same kind.

    With `also_whole` floating-point numbers may be whole ones in the file, as Keras has some of Adafactor's.

    Example:
        >>> fits(np.dtype("float32"), np.dtype("float64")), fits(np.dtype("float32"), np.dtype("int8"))
        (True, False)
    """
    kind = _kind(dtype)
    if also_whole and kind == "f" and _kind(stored) == "i":
        return True
    return kind == _kind(stored) or (stored.kind == "V" and kind == "f" and stored.itemsize == dtype.itemsize)


def _kind(dtype: np.dtype) -> str:
    return "f" if is_floating(dtype) else "i" if dtype.kind in "iu" else dtype.kind


def read_array(stored: StoredArray, dtype: np.dtype | None = None) -> np.ndarray:
    """Return an array of a file, in its own dtype, or in that which its bytes mean."""
    made = np.empty(stored.shape, stored.dtype)
    if made.size:
        stored.read(made)
    return made.view(dtype) if dtype is not None and is_opaque(made.dtype) else made


def is_opaque(dtype: np.dtype) -> bool:
    """Return whether a dtype says how many bytes there are, and not what they mean."""
    return dtype.kind == "V" and not is_floating(dtype)


class OnHost:
    """Values of variables in the memory of the host: their own there, or of a card a copy of each buffer they share."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[Array, np.ndarray]] = {}

    def array(self, variable: Variable) -> np.ndarray:
        """Return the value, which is only to be read."""
        data = variable.data
        if isinstance(data, np.ndarray):
            return data
        buffer = _buffer(data)
        if id(buffer) not in self._copies:
            self._copies[id(buffer)] = buffer, backend.of(buffer).to_host(buffer)
        return _part(self._copies[id(buffer)][1], data, buffer)


def fill(pairs: Iterable[Pair]) -> None:
    """Set weights from a file: straight into their memory, or on a card with one transfer for each buffer they share.

    Weights that wait for a file, and are not among them, get their initial values.
    """
    pairs = list(pairs)
    initialize(besides=[pair.variable for pair in pairs])
    on_cards: dict[int, tuple[Array, list[Pair]]] = {}
    for pair in pairs:
        data = pair.variable.data
        if isinstance(data, np.ndarray):
            _read(pair.stored, data)
        else:
            buffer = _buffer(data)
            on_cards.setdefault(id(buffer), (buffer, []))[1].append(pair)
    for buffer, members in on_cards.values():
        on = backend.of(buffer)
        whole = sum(pair.variable.size for pair in members) == buffer.size
        host = np.empty(buffer.shape, buffer.dtype) if whole else on.to_host(buffer)
        for pair in members:
            _read(pair.stored, _part(host, pair.variable.data, buffer))
        on.set_from_host(buffer, host)


def _read(stored: StoredArray, out: np.ndarray) -> None:
    if not out.size:
        return
    if out.dtype == stored.dtype and out.flags.c_contiguous:
        stored.read(out)
    else:
        out[...] = read_array(stored, out.dtype)


def _buffer(data: Array) -> Array:
    """Return the memory on a card that an array shares with others, or the array itself."""
    base = data.base
    shared = base is not None and base.ndim == 1 and base.dtype == data.dtype and data.flags.c_contiguous
    return base if shared and base.flags.c_contiguous else data


def _part(host: np.ndarray, data: Array, buffer: Array) -> np.ndarray:
    """Return what a copy of a buffer has of an array that is part of it."""
    on = backend.of(data)
    start = (on.address(data) - on.address(buffer)) // data.dtype.itemsize if data.size else 0
    return host.reshape(-1)[start : start + data.size].reshape(data.shape)


def leave_or_refuse(source: Path, who: str, problem: str, skip_mismatch: bool) -> None:
    """Say that weights of a file do not fit a layer, which stays as it is; else raise ValueError."""
    if not skip_mismatch:
        raise ValueError(
            f"{source} does not fit the model: {problem} No weight was changed. "
            "skip_mismatch=True leaves such layers as they are."
        )
    warn_user(f"load_weights leaves {who!r} as it is: {problem}")
