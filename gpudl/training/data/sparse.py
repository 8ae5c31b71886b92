"""Rows of a sparse matrix as data, which are made dense batch by batch, never as a whole."""

from __future__ import annotations

from typing import Protocol, TypeGuard

import numpy as np

from gpudl.backend import Array


class Compressed(Protocol):
    """A sparse matrix in compressed rows."""

    shape: tuple[int, int]
    dtype: np.dtype

    def tocsr(self) -> Compressed:
        """Return it itself."""

    def toarray(self) -> np.ndarray:
        """Return it as a dense array."""

    def __getitem__(self, rows: slice | np.ndarray) -> Compressed:
        """Return some rows."""


class Sparse(Protocol):
    """A sparse matrix of any kind."""

    def tocsr(self) -> Compressed:
        """Return it in compressed rows."""


class SparseRows:
    """An array-like of the rows of a sparse matrix, such as one of SciPy's, as NumPy arrays.

    Args:
        matrix: has ``tocsr``; its compressed rows have ``toarray`` and can be indexed by slices and integer arrays.
    """

    ndim = 2

    def __init__(self, matrix: Sparse) -> None:
        self._matrix = matrix.tocsr()
        self.shape: tuple[int, int] = self._matrix.shape
        self.dtype = np.dtype(self._matrix.dtype)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return rows, by a slice or by indices, as a dense array."""
        return np.asarray(self._matrix[rows].toarray())

    def part(self, rows: slice) -> SparseRows:
        """Return some of the rows, still sparse."""
        return SparseRows(self._matrix[rows])


def is_sparse(value: object) -> TypeGuard[Sparse]:
    """Return whether `value` is a sparse matrix."""
    return hasattr(value, "tocsr") and hasattr(value, "toarray")


def some(rows: Array, which: slice) -> Array:
    """Return some rows of an array or of a sparse matrix, without a copy."""
    return rows.part(which) if isinstance(rows, SparseRows) else rows[which]
