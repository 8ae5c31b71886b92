"""Padding along axes, with Keras's arguments and defaults."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.default_float import float_dtype
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import concatenate
from gpudl.ops.numpy.creation import fixed, full
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.quantiles import median
from gpudl.ops.numpy.reductions import max, mean, min
from gpudl.ops.numpy.repetition import flip
from gpudl.ops.numpy.selection import take
from gpudl.ops.primitives import elementwise, library, reduce
from gpudl.ops.primitives.shape import slice_grad, take_slice

__all__ = [
    "pad",
]

Widths = int | Sequence[int] | Sequence[Sequence[int]]
_OF_ALL: dict[str, Callable[[Tensor, int, bool], Tensor]] = {
    "maximum": max,
    "minimum": min,
    "mean": mean,
    "median": median,
}
_BY_INDEX: dict[str, Literal["reflect", "symmetric", "edge", "wrap"]] = {
    "reflect": "reflect",
    "symmetric": "symmetric",
    "edge": "edge",
    "wrap": "wrap",
    "circular": "wrap",
}


def pad(x: TensorLike, pad_width: Widths, mode: str = "constant", constant_values: TensorLike | None = None) -> Tensor:
    """Return x with elements added before and behind it along each axis.

    Args:
        x: an array.
        pad_width: how many elements: a number for all sides, a pair for before and behind along all axes, or a pair
            for each axis.
        mode: which elements: ``"constant"``, ``"edge"``, ``"reflect"`` (without the edge), ``"symmetric"`` (with it),
            ``"wrap"`` or ``"circular"`` (from the other side), ``"maximum"``, ``"minimum"``, ``"mean"`` or
            ``"median"`` (of the axis), ``"linear_ramp"`` (down to 0), ``"empty"`` (zeros).
        constant_values: the constant, 0 by default.

    Raises:
        ShapeError: widths for another number of axes, or negative ones.
        ValueError: an unknown mode, or `constant_values` in another mode than ``"constant"``.

    Example:
        >>> pad([1.0, 2.0, 3.0], 1).numpy(), pad([1.0, 2.0, 3.0], (1, 0), "reflect").numpy()
        (array([0., 1., 2., 3., 0.], dtype=float32), array([2., 1., 2., 3.], dtype=float32))
    """
    x = operand(x)
    widths = _widths(x, pad_width)
    if constant_values is not None and mode != "constant":
        raise ValueError(f"pad: constant_values are for mode='constant' only, got mode={mode!r}.")
    if mode == "empty" or (mode == "constant" and constant_values is None):
        shape = tuple(before + n + behind for n, (before, behind) in zip(x.shape, widths, strict=True))
        key = tuple((before, before + n, None) for n, (before, _) in zip(x.shape, widths, strict=True))
        return slice_grad(x, keys=(key,), shape=shape)
    for axis, (before, behind) in enumerate(widths):
        if (before or behind) and mode in _BY_INDEX:
            x = take(x, np.pad(np.arange(x.shape[axis]), (before, behind), _BY_INDEX[mode]), axis)
        elif before or behind:
            ends = [_added(x, axis, n, edge, mode, constant_values) for n, edge in ((before, 0), (behind, -1))]
            x = concatenate([ends[0], x, ends[1]], axis)
    return x


def _widths(x: Tensor, pad_width: Widths) -> list[tuple[int, int]]:
    given = np.asarray(pad_width)
    if given.dtype.kind not in "iu" or given.ndim > 2 or (given.ndim and given.shape[-1] not in (1, 2)):
        raise ShapeError(f"pad: pad_width must be an integer, a pair, or a pair for each axis, got {pad_width}.")
    try:
        widths = np.broadcast_to(given, (x.ndim, 2)).tolist()
    except ValueError:
        raise ShapeError(f"pad: {len(given)} pairs of pad_width do not fit the {x.ndim} axes of {x.shape}.") from None
    if (given < 0).any():
        raise ShapeError(f"pad: pad_width must not be negative, got {pad_width}. Use slices to crop.")
    return [(before, behind) for before, behind in widths]


def _added(x: Tensor, axis: int, count: int, edge: int, mode: str, value: TensorLike | None) -> Tensor:
    """Return the elements that are added at the first or the last `edge`, 0 or -1, of an axis."""
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    if mode == "constant":
        return full(shape, 0 if value is None else value, x.dtype)
    if mode in _OF_ALL:
        of_all = _OF_ALL[mode](x, axis, True)
        whole = library.round(of_all) if x.dtype.kind in "iu" and is_floating(of_all.dtype) else of_all
        return reduce.broadcast_to(cast(whole, x.dtype), shape=shape)
    if mode == "linear_ramp":
        last = take_slice(x, key=(*((None, None, None),) * axis, (edge, None if edge else 1, None)))
        places = (count, *[1] * (x.ndim - axis - 1))
        rising = fixed(lambda: np.arange(count).reshape(places) / builtins.max(count, 1), places, float_dtype())
        ramp = last * (flip(rising, 0) if edge else rising)
        return cast(elementwise.floor_divide(ramp, 1.0) if x.dtype.kind in "iu" else ramp, x.dtype)
    known = ", ".join(("constant", *_BY_INDEX, *_OF_ALL, "linear_ramp"))
    raise ValueError(f"pad: mode must be one of {known} or empty, got {mode!r}.")
