"""The gradient of taking rows by number, as an embedding needs it."""

from __future__ import annotations

from math import prod

from ..registry import accelerates
from .launch import Array, Kernel, contiguous, function, index, real, run

_ROWS, _COLUMNS = 32, 128  # of the result that a block sums up: ROWS and COLUMNS of scatter.cu
_MOST_BLOCKS = 2**16 - 1  # along the second axis of a grid
_ORDER = {"int32": "int", "int64": "long long"}


def _takes(out: Array, g: Array, indices: Array, *, rows: int) -> bool:
    columns = prod(out.shape[1:])
    return (
        out.dtype == g.dtype
        and real(out, g) is not None
        and g.shape == (*indices.shape, *out.shape[1:])
        and indices.dtype.name in _ORDER
        and contiguous(out, g, indices)
        and columns <= _COLUMNS * _MOST_BLOCKS
        and _kernel(out, g, indices) is not None
    )


def _kernel(out: Array, g: Array, indices: Array) -> Kernel | None:
    macros = {"GPUDL_REAL": real(out) or "", "GPUDL_INDEX": index(out, g)[0], "GPUDL_ORDER": _ORDER[indices.dtype.name]}
    return function("scatter.cu", "take_grad", **macros)


@accelerates("take_grad", device="cuda", takes=_takes)
def take_grad(out: Array, g: Array, indices: Array, *, rows: int) -> None:
    """Sum the rows of g that were taken from each row: g (..., C), indices (...) -> out (rows, C).

    The terms of a row are added in the order of the indices: the same bits at every run.
    """
    if out.size == 0:
        return
    kernel = _kernel(out, g, indices)
    if kernel is None:
        raise RuntimeError("take_grad of scatter.cu does not compile here; ask first whether it takes the arrays.")
    number, columns = index(out, g)[1], prod(out.shape[1:])
    grid = (-(-rows // _ROWS), -(-columns // _COLUMNS))
    run(kernel, grid, _COLUMNS, (out, g, indices, *map(number, (indices.size, columns, rows))))
