"""Counting elements: those that are not 0, those of each integer, those of each bin, the different ones."""

from __future__ import annotations

import builtins
from operator import index
from typing import TypeAlias

import numpy as np

from gpudl.engine.convert import as_tensor, operand
from gpudl.engine.default_float import float_dtype
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import TracingError, state, user_line
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import Axis
from gpudl.ops.numpy.creation import ones, positions
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.ranges import linspace
from gpudl.ops.numpy.reductions import max, min, sum
from gpudl.ops.numpy.selection import where
from gpudl.ops.primitives import elementwise, logic, order
from gpudl.ops.primitives.gather import numbered, take_grad
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
        size: the length of the result, to which it is cut or filled.
        fill_value: what it is filled with, by default the least element.

    Returns:
        The elements, or a tuple of them and of the other results that the arguments want, int32.

    Raises:
        TracingError: in a recorded step, whose results have fixed shapes.

    Example:
        >>> [each.numpy().tolist() for each in unique([3, 1, 1], return_counts=True)]
        [[1, 3], [2, 1]]
    """
    values = _read("unique", operand(x), "Compute it before the step")
    found, first, inverse, counts = np.unique(values, True, True, True, axis, equal_nan=False)
    if size is not None:
        along, missing = axis or 0, builtins.max(0, index(size) - found.shape[axis or 0])
        fill = found.take([0], along) if fill_value is None else np.asarray(operand(fill_value).numpy(), found.dtype)
        shape = (*found.shape[:along], missing, *found.shape[along + 1 :])
        found = np.concatenate([found, np.broadcast_to(fill, shape)], along)
        found = found.take(np.arange(index(size)), along)
        first = np.concatenate([first, np.full(missing, first[0])])[: index(size)]
        counts = np.concatenate([counts, np.zeros(missing, counts.dtype)])[: index(size)]
    asked = zip((first, inverse, counts), (return_index, return_inverse, return_counts), strict=True)
    others = [as_tensor(each.astype(np.int32)) for each, wanted in asked if wanted]
    return (as_tensor(found), *others) if others else as_tensor(found)
