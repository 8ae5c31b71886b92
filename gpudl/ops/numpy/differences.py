"""Differences, integrals, correlations and distances, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from operator import index

import numpy as np

from gpudl.engine.convert import as_tensor, operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import expand_dims, moveaxis, stack
from gpudl.ops.numpy.matrices import diagonal
from gpudl.ops.numpy.padding import pad
from gpudl.ops.numpy.reductions import sum as total
from gpudl.ops.numpy.repetition import flip
from gpudl.ops.numpy.selection import take
from gpudl.ops.numpy.splitting import unstack
from gpudl.ops.numpy.statistics import floats
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.elementwise import multiply, square, subtract
from gpudl.ops.primitives.exponential import sqrt
from gpudl.ops.primitives.logic import not_equal
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape, take_slice

__all__ = [
    "cdist",
    "correlate",
    "cross",
    "diff",
    "kron",
    "trace",
    "trapezoid",
]


def diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    """Return the differences of neighbours along `axis`, n times over; of bools, where they differ.

    Raises:
        ValueError: `n` is negative.

    Example:
        >>> diff([1.0, 4.0, 9.0]).numpy()
        array([3., 5.], dtype=float32)
    """
    x, count = as_tensor(a), index(n)
    if count < 0:
        raise ValueError(f"diff: n must not be negative, got {n}.")
    for _ in range(count):
        before, after = _sides(x, axis)
        x = not_equal(after, before) if x.dtype == np.bool_ else subtract(after, before)
    return x


def _sides(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return x without its last and without its first element along `axis`."""
    lead = ((None, None, None),) * axes_of(x.ndim, axis)[0]
    return take_slice(x, key=(*lead, (None, -1, None))), take_slice(x, key=(*lead, (1, None, None)))


def trapezoid(y: TensorLike, x: TensorLike | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Return the integral of y along `axis`, by the trapezoidal rule.

    Args:
        y: values.
        x: the points that they belong to, along the axis or in the shape of y; None for points `dx` apart.
        dx: the distance of points.
        axis: the axis.

    Example:
        >>> trapezoid([1.0, 2.0, 4.0], dx=2.0).item()
        9.0
    """
    y = floats(y)
    before, after = _sides(y, axis)
    means = (before + after) * 0.5
    if x is None:
        return total(means, axis) * dx
    points = operand(x, y)
    if points.ndim == 1 and y.ndim > 1:
        (at,) = axes_of(y.ndim, axis)
        points = reshape(points, [-1 if a == at else 1 for a in range(y.ndim)])
    first, second = _sides(points, axis)
    return total(means * (second - first), axis)


def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the sums of diagonals of x, see `diagonal`; small integers are summed in 32 bits.

    Example:
        >>> trace([[1.0, 2.0], [3.0, 4.0]]).item()
        5.0
    """
    return total(diagonal(x, offset, axis1, axis2), axis=-1)


def kron(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the Kronecker product: each element of x1 times the whole x2, in its place.

    Example:
        >>> kron([[1.0, 2.0]], [[1.0], [10.0]]).numpy()
        array([[ 1.,  2.],
               [10., 20.]], dtype=float32)
    """
    like = x1 if isinstance(x1, Tensor) else x2 if isinstance(x2, Tensor) else None
    a, b = operand(x1, like), operand(x2, like)
    ndim = max(a.ndim, b.ndim)
    left, right = ((1,) * (ndim - t.ndim) + t.shape for t in (a, b))
    outer = multiply(
        reshape(a, [n for size in left for n in (size, 1)]), reshape(b, [n for size in right for n in (1, size)])
    )
    return reshape(outer, [m * n for m, n in zip(left, right, strict=True)])


def cross(
    x1: TensorLike, x2: TensorLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """Return the cross products of vectors of three numbers; of two, the third of these.

    Args:
        x1: vectors along `axisa`, of two or three numbers.
        x2: vectors along `axisb`.
        axisa: the axis of the vectors of x1.
        axisb: the axis of those of x2.
        axisc: the axis of those of the result.
        axis: all three axes.

    Raises:
        ShapeError: vectors of another length.

    Example:
        >>> cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]).numpy()
        array([0., 0., 1.], dtype=float32)
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = operand(x1), operand(x2)
    lengths = [t.shape[axes_of(t.ndim, at)[0]] for t, at in ((a, axisa), (b, axisb))]
    if not set(lengths) <= {2, 3}:
        raise ShapeError(f"cross needs vectors of two or three numbers, got {lengths[0]} and {lengths[1]}.")

    rows = [moveaxis(t, at, -1) for t, at in ((a, axisa), (b, axisb))]
    if lengths == [2, 2]:
        (a, b), (c, d) = (unstack(t, axis=-1) for t in rows)
        return subtract(multiply(a, d), multiply(b, c))
    three = [t if t.shape[-1] == 3 else pad(t, [(0, 0)] * (t.ndim - 1) + [(0, 1)]) for t in rows]
    (a, b, c), (x, y, z) = (unstack(t, axis=-1) for t in three)
    pairs = (((b, z), (c, y)), ((c, x), (a, z)), ((a, y), (b, x)))
    return moveaxis(stack([subtract(multiply(*plus), multiply(*minus)) for plus, minus in pairs], -1), -1, axisc)


def correlate(x1: TensorLike, x2: TensorLike, mode: str = "valid") -> Tensor:
    """Return the sums of products of a vector with another one at each place that it slides over.

    Args:
        x1: a vector.
        x2: another one, of any length.
        mode: ``"valid"`` for places where the shorter lies within the longer, ``"same"`` for as many places as the
            longer has numbers, ``"full"`` for all where they overlap.

    Raises:
        ShapeError: no vectors, or empty ones.
        ValueError: another mode.

    Example:
        >>> correlate([1.0, 2.0, 3.0], [1.0, 10.0]).numpy()
        array([21., 32.], dtype=float32)
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"correlate: mode must be 'valid', 'same' or 'full', got {mode!r}.")
    a, b = floats(x1), floats(x2)
    if a.ndim != 1 or b.ndim != 1 or not a.size or not b.size:
        raise ShapeError(f"correlate needs two vectors that are not empty, got {a.shape} and {b.shape}.")
    turned = b.size > a.size
    a, b = (b, a) if turned else (a, b)
    short = b.size - 1
    before, after = {"valid": (0, 0), "full": (short, short), "same": (short - short // 2, short // 2)}[mode]
    wide = pad(a, [(before, after)])
    places = np.arange(wide.size - short)[:, None] + np.arange(b.size)
    found = reduce.sum(multiply(take(wide, places), b), axis=-1)
    return flip(found) if turned else found


def cdist(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the Euclidean distance of each row of x from each row of y: (..., rows of x, rows of y).

    Example:
        >>> cdist([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]]).numpy()
        array([[5., 1.]], dtype=float32)
    """
    a, b = floats(x), floats(y)
    apart = expand_dims(a, -2) - expand_dims(b, -3)
    return sqrt(reduce.sum(square(apart), axis=-1))
