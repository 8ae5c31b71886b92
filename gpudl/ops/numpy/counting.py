"""Counting elements: those that are not 0, those of each integer, those of each bin, the different ones."""

from __future__ import annotations

import builtins
from math import prod
from operator import index
from typing import TypeAlias

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.default_float import float_dtype
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import TracingError, state, user_line
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.accumulation import cumsum
from gpudl.ops.numpy.arrangement import concatenate, moveaxis
from gpudl.ops.numpy.axes import Axis
from gpudl.ops.numpy.creation import full, ones, positions
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.ranges import linspace
from gpudl.ops.numpy.reductions import any, max, min, sum
from gpudl.ops.numpy.selection import take, where
from gpudl.ops.numpy.sorting import sort
from gpudl.ops.primitives import elementwise, logic, order
from gpudl.ops.primitives.gather import numbered, take_grad
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "bincount",
    "count_nonzero",
    "histogram",
    "unique",
]

_Several: TypeAlias = "Tensor | tuple[Tensor, ...]"


def count_nonzero(x: TensorLike, axis: Axis = None) -> Tensor:
    """Return, as int32, how many elements along `axis`, by default of all, are not 0.

    Example:
        >>> count_nonzero([[0.0, 2.0], [3.0, 4.0]], axis=0).numpy()
        array([1, 2], dtype=int32)
    """
    return sum(logic.not_equal(x, 0), axis)


def _read(name: str, x: Tensor, instead: str) -> np.ndarray:
    """Return the values of x on the host, on which the size of a result depends; raise TracingError while recording."""
    if state.recorder is not None or x.data is None:
        raise TracingError(
            f"{user_line()}: the size of the result of {name} depends on values, but the results of a recorded step "
            f"have fixed shapes. {instead}, or compile(run_eagerly=True)."
        )
    return x.numpy()


def bincount(x: TensorLike, weights: TensorLike | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """Return how often each integer from 0 up to the largest occurs, or the sum of its weights.

    Args:
        x: a vector of integers, or a batch of vectors; negative ones count as 0.
        weights: numbers of the shape of x.
        minlength: the least length of the result.
        sparse: not supported.

    Raises:
        ShapeError: x are no integers, or have more than two axes; weights of another shape.
        TracingError: in a recorded step, whose results have fixed shapes.
        ValueError: `sparse` is true.

    Example:
        >>> bincount([1, 1, 3]).numpy()
        array([0, 2, 0, 1], dtype=int32)
    """
    if sparse:
        raise ValueError("sparse tensors are not supported: leave out sparse=True.")
    x = operand(x)
    if x.dtype.kind not in "biu" or x.ndim not in (1, 2):
        raise ShapeError(
            f"bincount takes integers with one axis, or two for a batch, got {x.dtype} of shape {x.shape}."
        )
    terms = ones(x.shape, np.int32) if weights is None else operand(weights)
    if terms.shape != x.shape:
        raise ShapeError(f"bincount: weights have shape {terms.shape}, and x {x.shape}.")
    x = cast(x, np.int32) if x.dtype == np.bool_ else numbered(x)
    values = _read("bincount", x, "Use gpudl.ops.segment_sum(weights, x, num_segments)")
    count = builtins.max(index(minlength), int(values.max(initial=-1)) + 1)
    at = elementwise.maximum(x, 0)
    if x.ndim == 1:
        return take_grad(terms, at, rows=count)
    rows = x.shape[0]
    at = at + reshape(positions(rows) * count, (-1, 1))
    return reshape(take_grad(reshape(terms, -1), reshape(at, -1), rows=rows * count), (rows, count))


def histogram(x: TensorLike, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """Return how many elements of a vector lie in each of so many bins of equal width, and the bounds of the bins.

    Args:
        x: a vector.
        bins: how many bins.
        range: the first and the last bound, by default the least and the greatest element; others are not counted. The
            last bound belongs to the last bin.

    Raises:
        ShapeError: x is no vector, or has no elements and no `range` is given.

    Example:
        >>> [each.numpy().tolist() for each in histogram([0.0, 1.0, 1.5, 2.0], 2)]
        [[1.0, 3.0], [0.0, 1.0, 2.0]]
    """
    x = operand(x)
    if x.ndim != 1:
        raise ShapeError(f"histogram takes a vector, got shape {x.shape}.")
    kind = x.dtype if is_floating(x.dtype) else float_dtype()
    x = cast(x, kind)
    low, high = (min(x), max(x)) if range is None else (cast(bound, kind) for bound in range)
    flat = logic.equal(low, high)
    low, high = where(flat, low - 0.5, low), where(flat, high + 0.5, high)
    bounds = linspace(low, high, index(bins) + 1)
    assert isinstance(bounds, Tensor)
    at = where(logic.equal(x, high), bins - 1, order.search(bounds, x, side="right") - 1)
    return take_grad(ones(x.shape, kind), where(logic.less(at, 0), bins, at), rows=index(bins)), bounds


def unique(
    x: TensorLike,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: TensorLike | None = None,
) -> _Several:
    """Return the different elements, sorted.

    Args:
        x: an array.
        sorted: whether they must be sorted; here they always are.
        return_index: also return the index of the first occurrence of each.
        return_inverse: also return, for each element of x, the index of its equal in the result.
        return_counts: also return how often each occurs.
        axis: take the parts along this axis for the elements; by default x is flattened.
        size: the length of the result, to which it is cut or filled; needed in a recorded step.
        fill_value: what it is filled with, by default the least element.

    Returns:
        The elements, or a tuple of them and of the other results that the arguments want, int32.

    Raises:
        ShapeError: x does not have the axis, or has no elements to fill the result with.
        TracingError: in a recorded step, whose results have fixed shapes, without `size`.

    Example:
        >>> [each.numpy().tolist() for each in unique([3, 1, 1], return_counts=True)]
        [[1, 3], [2, 1]]
    """
    x = operand(x)
    (along,) = (0,) if axis is None or not x.ndim else axes_of(x.ndim, index(axis))
    parts = reshape(x, -1) if axis is None or not x.ndim else moveaxis(x, along, 0)
    count = parts.shape[0]
    rows = reshape(parts, (count, -1 if parts.size else prod(parts.shape[1:])))
    places = positions(count)
    for column in builtins.reversed(builtins.range(rows.shape[1])):  # the first one decides
        places = take(places, order.argsort(take(rows[:, column], places), axis=0))
    ordered = take(rows, places, axis=0)
    starts = concatenate([ones((builtins.min(count, 1),), bool), any(ordered[1:] != ordered[:-1], axis=1)])
    if size is None:
        size = int(_read("unique", sum(starts), "Give it size=")) if count else 0
    if count < 1 <= index(size):
        raise ShapeError(f"unique: there is no element of {x.shape} with which {size} places could be filled.")
    # Where each different element begins; behind the last one, the end.
    at = sort(concatenate([where(starts, positions(count), count), full((index(size) + 1,), count, "int32")]))
    first, ends = at[: index(size)], at[1 : index(size) + 1]
    here = take(places, where(logic.less(first, count), first, 0))
    found = take(parts, here, axis=0)
    if fill_value is not None:
        there = reshape(logic.less(first, count), (-1,) + (1,) * (parts.ndim - 1))
        found = where(there, found, cast(operand(fill_value), x.dtype))
    numbers = cumsum(cast(starts, "int32")) - 1
    inverse = take(numbers, order.argsort(places, axis=0))
    others = (here, reshape(inverse, x.shape) if axis is None else inverse, ends - first)
    wanted = [each for each, asked in zip(others, (return_index, return_inverse, return_counts), strict=True) if asked]
    found = moveaxis(found, 0, along) if axis is not None and x.ndim else found
    return (found, *wanted) if wanted else found
