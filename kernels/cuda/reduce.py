"""Sums, maxima and means along adjacent axes, their gradients, and argmax, by the kernels of `reduce.cu`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..geometry import Group, Ints, Window, along, stretched
from ..registry import accelerates
from .launch import Array, contiguous, function, index, launch, real
from .sharing import (
    NEVER,
    SUMS,
    WARP,
    Columns,
    Rows,
    columns,
    compiled,
    elements,
    macros,
    power,
    rows,
    start_rows,
    sum_type,
)

FILE = "reduce.cu"
Axis = int | tuple[int, ...] | None
_IMAGE = 4  # axes


def whole(shape: Ints, window: Window) -> Group | None:
    """Return (N, H*W, C) if the window covers exactly the whole image, else None."""
    if len(shape) != _IMAGE or 0 in shape or not window.extent == window.kernel == tuple(shape[1:3]):
        return None
    alone = not any(window.crop) and window.output(window.kernel) == (1, 1)
    return (shape[0], window.taps, shape[3]) if alone else None


def alike(*arrays: Array) -> bool:
    """Return whether arrays are C-contiguous, and of one floating-point dtype."""
    return contiguous(*arrays) and len({a.dtype for a in arrays}) == 1 and real(*arrays) is not None


def _joined(how: str, dtype: np.dtype) -> type[np.floating]:
    """Return the NumPy type in which arrays of `dtype` are reduced: float64 for sums."""
    return sum_type(dtype) if how == "max" else np.float64


def _stages(how: str, group: Group, dtype: np.dtype) -> Iterator[tuple[int, Columns | Rows]]:
    """Yield the stages of a reduction, 0 or 1 and 2 as in `reduce.cu`, and how each is split among blocks."""
    first = _shared(group, dtype.itemsize, SUMS)
    if first.parts == 1:
        yield 0, first
        return
    yield 1, first
    yield 2, _shared((group[0], first.parts, group[2]), np.dtype(_joined(how, dtype)).itemsize, NEVER)


def _shared(group: Group, itemsize: int, alone: int) -> Columns | Rows:
    return rows(group[:2], itemsize, alone) if group[2] == 1 else columns(group, itemsize, alone)


def _named(shares: Columns | Rows) -> str:
    return "reduce_rows" if isinstance(shares, Rows) else "reduce_columns"


def _macros(x: Array, shares: Columns | Rows, stage: int, how: str) -> dict[str, str | int]:
    return macros((x,), shares.width, GPUDL_STAGE=stage, GPUDL_MAX=int(how == "max"))


def reduces(how: str, group: Group, out: Array, x: Array) -> bool:
    """Return whether the kernels of `reduce` compile."""
    return all(
        function(FILE, _named(shares), **_macros(x, shares, stage, how)) is not None
        for stage, shares in _stages(how, group, x.dtype)
    )


def reduce(how: str, group: Group, out: Array, x: Array) -> None:
    """Compute the sum, max or mean of x (O, R, C) along R, with one launch, or two where R is long."""
    import cupy

    kind, floats = index(x)[1], _joined(how, x.dtype)
    given = x
    for stage, shares in _stages(how, group, x.dtype):
        kernel = compiled(FILE, _named(shares), [given], _macros(x, shares, stage, how))
        result = cupy.empty((group[0], shares.parts, group[2]), floats) if stage == 1 else out
        divisor = group[1] if how == "mean" and stage != 1 else 1
        shares.start(kernel, (result, given), kind, floats(divisor))
        given = result


def spreads(how: str, group: Group, out: Array, g: Array) -> bool:
    """Return whether the kernel of `spread` compiles."""
    return function(FILE, "spread", **_spread_macros(group, out)) is not None


def spread(how: str, group: Group, out: Array, g: Array) -> None:
    """Compute out (O, R, C) = g (O, C) / R."""
    given = _spread_macros(group, out)
    divisor = sum_type(out.dtype)(group[1])
    kernel, kind = compiled(FILE, "spread", [out], given), index(out)[1]
    launch(kernel, out.size // int(given["GPUDL_WIDTH"]), (out, g, *map(kind, group), divisor))


def _spread_macros(group: Group, out: Array) -> dict[str, str | int]:
    return macros((out,), elements(out.dtype.itemsize, group[2] if group[2] > 1 else group[1]))


def slopes(how: str, group: Group, out: Array, g: Array, y: Array, x: Array) -> bool:
    """Return whether the kernel of `slope` compiles."""
    return function(FILE, "max_grad", **macros((x,), columns(group, x.dtype.itemsize, NEVER).width)) is not None


def slope(how: str, group: Group, out: Array, g: Array, y: Array, x: Array) -> None:
    """Compute the gradient of a maximum y (O, C) of x (O, R, C), divided evenly among equal maxima."""
    shares = columns(group, x.dtype.itemsize, NEVER)
    kernel = compiled(FILE, "max_grad", [out, x], macros((x,), shares.width))
    shares.start(kernel, (out, g, y, x), index(x)[1])


@dataclass(frozen=True)
class Reduction:
    """A kernel `(out, *inputs, **static)` that views its arrays as (O, R, C) and (O, C).

    Args:
        op: name of the op.
        group: returns (O, R, C) for the arrays and the static arguments.
        fits: returns whether the kernels of `work` compile.
        work: computes the result.
        how: "sum", "max" or "mean".
    """

    op: str
    group: Callable[..., Group | None]
    fits: Callable[..., bool]
    work: Callable[..., None]
    how: str

    def supports(self, *arrays: Array, **static: object) -> bool:
        """Accept adjacent axes of C-contiguous arrays of one floating-point dtype, if the kernels compile."""
        group = self.group(*arrays, **static)
        return group is not None and alike(*arrays) and self.fits(self.how, group, *arrays)

    def __call__(self, *arrays: Array, **static: object) -> None:
        """Launch the kernels on the current stream."""
        self.work(self.how, self.group(*arrays, **static), *arrays)


for _kernel in (
    Reduction("sum", lambda out, x, axis=None, keepdims=False: along(x.shape, axis), reduces, reduce, "sum"),
    Reduction("sum_to", lambda out, x, shape: stretched(x.shape, shape), reduces, reduce, "sum"),
    Reduction("max", lambda out, x, axis=None, keepdims=False: along(x.shape, axis), reduces, reduce, "max"),
    Reduction("max_grad", lambda out, g, y, x, axis=None: along(x.shape, axis), slopes, slope, "max"),
    Reduction("avg_pool", lambda out, x, window: whole(x.shape, window), reduces, reduce, "mean"),
    Reduction("avg_pool_grad", lambda out, g, shape, window: whole(shape, window), spreads, spread, "mean"),
):
    accelerates(_kernel.op, device="cuda", supports=_kernel.supports)(_kernel)


def _has_rows(out: Array, x: Array, *, axis: int) -> bool:
    fits = x.size > 0 and axis in (-1, len(x.shape) - 1) and contiguous(out, x) and real(x) is not None
    return fits and function(FILE, "argmax", **_row_macros(x)) is not None


def _row_macros(x: Array) -> dict[str, str | int]:
    return macros((x,), elements(x.dtype.itemsize, x.shape[-1]))


@accelerates("argmax", device="cuda", supports=_has_rows)
def argmax(out: Array, x: Array, *, axis: int) -> None:
    """Find the first maximum along the last axis, or the first NaN: x (..., C) -> out (...), int32."""
    given, length = _row_macros(x), x.shape[-1]
    kernel, kind = compiled(FILE, "argmax", [x], given), index(x)[1]
    lanes = min(power(length // int(given["GPUDL_WIDTH"])), WARP)
    start_rows(kernel, out.size, lanes, (out, x, kind(out.size), kind(length), np.int32(lanes)))
