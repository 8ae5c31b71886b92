"""Tables of houses: rows of numbers, each with a price."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpudl.datasets._source import DamagedFileError, member, members

Floats = NDArray[np.floating]
Table = tuple[Floats, Floats]


def read_table(path: Path, columns: int) -> Table:
    """Read the rows x (N, columns) and the prices y (N,) of an .npz file, or raise DamagedFileError."""
    rows: list[int] = []

    def check(shape: tuple[int, ...], dtype: np.dtype) -> None:
        wanted = ((columns,), ()) if not rows else ((), ())
        fits = len(shape) == (1 if rows else 2) and shape[1:] == wanted[0] and shape[:1] != (0,)
        if not fits or dtype.kind != "f" or (rows and shape[0] != rows[0]):
            raise DamagedFileError(f"expected floats (N, {columns}) and (N,), found {dtype} {shape}")
        rows.append(shape[0])

    with members(path) as archive:
        x, y = member(archive, "x", check), member(archive, "y", check)
    return x, y  # type: ignore[return-value]


def split(x: Floats, y: Floats, test_split: float, seed: int) -> tuple[Table, Table]:
    """Shuffle the rows, and return the last `test_split` of them apart."""
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    at = int(len(x) * (1 - test_split))
    return (x[order[:at]], y[order[:at]]), (x[order[at:]], y[order[at:]])


def require_share(test_split: float) -> None:
    """Raise ValueError unless the share of test rows is from 0 to less than 1."""
    if not 0 <= test_split < 1:
        raise ValueError(f"test_split must be at least 0 and below 1, got {test_split}.")
