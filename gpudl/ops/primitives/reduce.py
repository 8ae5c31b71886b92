"""Sums, means and maxima, and the ops of broadcasting and its adjoint."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.spec import FLOAT32, Shape, ShapeError, Spec, added_in, is_floating, is_half, promote
from gpudl.engine.tensor import Tensor
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.declare import elementwise, op
from gpudl.ops.primitives.elementwise import cast, cast_like
from gpudl.ops.primitives.logic import equal
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "all_finite",
    "sum_to",
]

Axis = int | tuple[int, ...] | None

_COUNT, _UNSIGNED = np.dtype(np.int32), np.dtype(np.uint32)


def axes_of(ndim: int, axis: Axis) -> tuple[int, ...]:
    """Return `axis` as a sorted tuple of non-negative axes; raise ShapeError if out of range."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    if any(not -ndim <= a < ndim for a in given):
        raise ShapeError(f"axis {axis} is out of range for an array with {ndim} axes.")
    return tuple(sorted({a % ndim for a in given}))


def _reduced(x: Spec, axis: Axis, keepdims: bool) -> Shape:
    axes = axes_of(x.ndim, axis)
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)


def added(xp: ModuleType, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the sum along `axis`, floats in float64: long sums in float32 lose precision (of ones, at 2^24)."""
    return xp.sum(x, axis=axis, keepdims=keepdims, dtype=added_in(x.dtype))


def _broadcast_to(x: Spec, *, shape: Shape) -> Spec:
    if np.broadcast_shapes(x.shape, shape) != shape:
        raise ShapeError(f"{x.shape} does not broadcast to {shape}.")
    return x.with_shape(shape)


@elementwise(_broadcast_to, flops=cost.free)
def broadcast_to(x: Expression, *, shape: Shape) -> Expression:
    """Return x repeated along its axes of size 1 and new leading ones up to `shape`."""
    return x


def summed(x: Spec, *, axis: Axis = None, keepdims: bool = False) -> Spec:
    """Return the spec of a sum or a product."""
    small = x.dtype.kind in "biu" and x.dtype.itemsize < _COUNT.itemsize
    dtype = (_UNSIGNED if x.dtype.kind == "u" else _COUNT) if small else x.dtype
    return Spec(_reduced(x, axis, keepdims), dtype)


def _kept(t: Tensor, like: Tensor, axis: Axis) -> Tensor:
    """Return `t`, reduced from `like` along `axis`, with the reduced axes back as size 1."""
    shape = _reduced(like.spec, axis, True)
    return t if t.shape == shape else reshape(t, shape)


@op(summed, flops=cost.per_input(1))
def sum(xp: ModuleType, out: Array, x: Array, *, axis: Axis = None, keepdims: bool = False) -> None:
    """Return the sum along `axis` (all axes by default); bools and integers below 32 bits are summed in 32."""
    if is_floating(x.dtype):
        out[...] = added(xp, x, axis, keepdims)
    else:
        xp.sum(x, axis=axis, keepdims=keepdims, out=out, dtype=out.dtype)


sum.vjp(x=lambda g, y, x, axis=None, keepdims=False: broadcast_to(_kept(g, x, axis), shape=x.shape))


def _extreme(x: Spec, *, axis: Axis = None, keepdims: bool = False) -> Spec:
    out = Spec(_reduced(x, axis, keepdims), x.dtype)
    if x.size == 0 and out.size > 0:
        raise ShapeError("the maximum and minimum of no elements are undefined.")
    return out


@op(_extreme, flops=cost.per_input(1))
def max(xp: ModuleType, out: Array, x: Array, *, axis: Axis = None, keepdims: bool = False) -> None:
    """Return the maximum along `axis`; the gradient is divided evenly among equal maxima."""
    xp.max(x, axis=axis, keepdims=keepdims, out=out)


@op(_extreme, flops=cost.per_input(1))
def min(xp: ModuleType, out: Array, x: Array, *, axis: Axis = None, keepdims: bool = False) -> None:
    """Return the minimum along `axis`; the gradient is divided evenly among equal minima."""
    xp.min(x, axis=axis, keepdims=keepdims, out=out)


def _max_grad(g: Spec, y: Spec, x: Spec, *, axis: Axis = None) -> Spec:
    if y.shape != g.shape or y.shape not in (_reduced(x, axis, True), _reduced(x, axis, False)):
        raise ShapeError("gradient and maximum must have the shape of the input without the axes of the maximum.")
    return Spec(x.shape, promote(g.dtype, x.dtype))


@op(_max_grad, flops=cost.per_output(4))
def max_grad(xp: ModuleType, out: Array, g: Array, y: Array, x: Array, *, axis: Axis = None) -> None:
    """Return the gradient of `max` or `min` with respect to x: g where x is the result y, divided evenly among ties."""
    kept = _reduced(Spec(x.shape, x.dtype), axis, True)
    xp.equal(x, y.reshape(kept), out=out, casting="unsafe")
    share = g.reshape(kept) / added(xp, out, axes_of(x.ndim, axis), keepdims=True)
    xp.multiply(out, share.astype(out.dtype), out=out)


def _max_slope(g: Tensor, y: Tensor, x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return max_grad(g, y, x, axis=axis)


def _max_slope_of_slope(gg: Tensor, out: Tensor, g: Tensor, y: Tensor, x: Tensor, axis: Axis = None) -> Tensor:
    chosen = cast_like(equal(x, _kept(y, x, axis)), x)
    shares = sum(gg * chosen, axis=axis, keepdims=True) / sum(chosen, axis=axis, keepdims=True)
    return reshape(shares, g.shape)


max.vjp(x=_max_slope)
min.vjp(x=_max_slope)
max_grad.vjp(g=_max_slope_of_slope)


def _flag(*xs: Spec) -> Spec:
    return Spec((), np.dtype(bool))


@op(_flag, flops=cost.per_input(1))
def all_finite(xp: ModuleType, out: Array, *xs: Array) -> None:
    """Return, as a bool, whether no element of the arrays is NaN or infinite."""
    out[...] = True
    for x in xs:
        xp.logical_and(out, xp.isfinite(x).all(), out=out)


def _arg(x: Spec, *, axis: int) -> Spec:
    shape = _reduced(x, axis, False)
    if x.shape[axes_of(x.ndim, axis)[0]] == 0:
        raise ShapeError("the position of the maximum of no elements is undefined.")
    return Spec(shape, _COUNT)


@op(_arg, flops=cost.per_input(1))
def argmax(xp: ModuleType, out: Array, x: Array, *, axis: int) -> None:
    """Return the position of the first maximum along `axis`, as int32."""
    out[...] = xp.argmax(x, axis=axis)


def _sum_to(x: Spec, *, shape: Shape) -> Spec:
    if np.broadcast_shapes(x.shape, shape) != x.shape:
        raise ShapeError(f"{shape} does not broadcast to {x.shape}.")
    return x.with_shape(shape)


@op(_sum_to, flops=cost.per_input(1))
def sum_to(xp: ModuleType, out: Array, x: Array, *, shape: Shape) -> None:
    """Return x summed over the axes along which `shape` would be broadcast to it."""
    lead = x.ndim - len(shape)
    stretched = tuple(i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1)
    kept = out.reshape((1,) * lead + shape)
    kept[...] = added(xp, x, (*range(lead), *stretched), keepdims=True)


sum_to.vjp(x=lambda g, y, x, shape: broadcast_to(g, shape=x.shape))


broadcast_to.vjp(x=lambda g, y, x, shape: sum_to(g, shape=x.shape))


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean along `axis`; integers and bools become floats. The mean of no elements is NaN.

    The sum of 16-bit floats is not rounded before it is divided.
    """
    if is_half(x.dtype):
        return cast_like(mean(cast(x, dtype=FLOAT32), axis, keepdims), x)
    if x.dtype.kind in "biu":
        x = cast(x, dtype=FLOAT32)
    total = sum(x, axis=axis, keepdims=keepdims)
    count = int(np.prod([x.shape[a] for a in axes_of(x.ndim, axis)]))
    return total / float(count) if count else total * float("nan")
