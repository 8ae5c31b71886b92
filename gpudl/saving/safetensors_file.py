"""Weights in ``*.safetensors`` files, by the library of that name: an array for each weight, under its path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np

from gpudl.engine.spec import BFLOAT16
from gpudl.saving.kinds import another_kind
from gpudl.saving.stored import ArraysByPath, Saved


class _Slice(Protocol):
    """What the library says of an array."""

    def get_shape(self) -> list[int]: ...

    def get_dtype(self) -> str: ...


class _Opened(Protocol):
    """An open file of the library."""

    def get_slice(self, name: str) -> _Slice: ...

    def get_tensor(self, name: str) -> np.ndarray: ...


_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "BF16": BFLOAT16,
    **{f"F{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    **{f"I{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"U{bits}": np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)},
}


def write(parts: Iterable[Saved], unfinished: Path) -> None:
    """Write what the parts of a model save to a file."""
    library = _library()
    arrays = {
        f"{part.path}/{name}": np.ascontiguousarray(array).reshape(array.shape)
        for part in parts
        for name, array in part.arrays.items()
    }
    library.numpy.save_file(arrays, unfinished, {"format": "gpudl"})


@contextmanager
def opened(source: Path) -> Iterator[ArraysByPath]:
    """Open a file; the library compares the sizes of all arrays with the file's.

    Raises:
        ValueError: this is no such file, it is damaged, or has something else than arrays of numbers.
    """
    library = _library()
    if source.is_dir():
        raise ValueError(f"{source} is no `.safetensors` file of weights: {another_kind(source)}.")
    try:
        with library.safe_open(source, "numpy", backend="pread") as file:
            yield ArraysByPath({name: SafeArray(file, name, source) for name in file.keys()})  # noqa: SIM118
    except library.SafetensorError as error:
        raise ValueError(
            f"{source} is no `.safetensors` file of weights, or is damaged: {another_kind(source)} ({error}). "
            "It is not loaded."
        ) from error


class SafeArray:
    """An array of an open file."""

    def __init__(self, file: _Opened, name: str, source: Path) -> None:
        self._file, self._name = file, name
        part = file.get_slice(name)
        if part.get_dtype() not in _DTYPES:
            raise ValueError(
                f"{source}: {name} is an array of {part.get_dtype()}, and those of {', '.join(_DTYPES)} can be read. "
                "This file is not loaded."
            )
        self.shape = tuple(part.get_shape())
        self.dtype = _DTYPES[part.get_dtype()]

    def read(self, out: np.ndarray) -> None:
        """Read it into memory of the same shape and dtype, without gaps."""
        out[...] = self._file.get_tensor(self._name)


def _library() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError:
        raise ValueError(
            'weights in `.safetensors` files need a library: install gpudl with the extra "safetensors", or choose a '
            "name that ends in `.weights.h5`."
        ) from None
    return safetensors
