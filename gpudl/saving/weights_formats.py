"""The files that weights are written to and read from, by their endings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from gpudl.saving import hdf5, npz, safetensors_file
from gpudl.saving.stored import Saved, StoredWeights

ENDING = ".weights.h5"
PathLike = str | os.PathLike[str]


class Format(NamedTuple):
    """How a kind of file is written and read.

    Attributes:
        write: writes what the parts of a model save to a new file.
        opened: gives the weights of a file inside a ``with`` block.
    """

    write: Callable[[Iterable[Saved], Path], None]
    opened: Callable[[Path], AbstractContextManager[StoredWeights]]


FORMATS = {
    ENDING: Format(hdf5.write, hdf5.opened),
    ".npz": Format(npz.write, npz.opened),
    ".safetensors": Format(safetensors_file.write, safetensors_file.opened),
}


def format_of(filepath: PathLike) -> Format:
    """Return the format of a file of weights; raise ValueError for another ending."""
    for ending, known in FORMATS.items():
        if os.fspath(filepath).endswith(ending):
            return known
    raise ValueError(
        f"The filename must end in `{ENDING}`, or in `.npz` or `.safetensors`, got {os.fspath(filepath)!r}."
    )
