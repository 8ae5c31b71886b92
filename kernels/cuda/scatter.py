"""The gradient of gathering rows by index, as for an embedding, by the kernel of `scatter.cu`."""

from __future__ import annotations

from math import prod

from ..registry import accelerates
from .launch import Array, Kernel, contiguous, function, index, real, run

_ROWS, _COLUMNS = 32, 128  # rows and columns of the result that a block sums: ROWS and COLUMNS of scatter.cu
_MOST_BLOCKS = 2**16 - 1  # along the second axis of a grid
_ORDER = {"int32": "int", "int64": "long long"}


def _supports(out: Array, g: Array, indices: Array, *, rows: int) -> bool:
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


@accelerates("take_grad", device="cuda", supports=_supports)
def take_grad(out: Array, g: Array, indices: Array, *, rows: int) -> None:
    """Sum the gradients of each row over the places where it was gathered: g (..., C), indices (...) -> out (rows, C).

    The terms of a row are added in the order of the indices, so that the result is bitwise reproducible.
    """
    if out.size == 0:
        return
    kernel = _kernel(out, g, indices)
    if kernel is None:
        raise RuntimeError("take_grad of scatter.cu does not compile here; check `supports` first.")
    number, columns = index(out, g)[1], prod(out.shape[1:])
    grid = (-(-rows // _ROWS), -(-columns // _COLUMNS))
    run(kernel, grid, _COLUMNS, (out, g, indices, *map(number, (indices.size, columns, rows))))
