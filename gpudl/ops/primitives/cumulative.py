"""Products along an axis, sums and products of all elements up to each, and the recurrence that their gradients are."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.op import Op
from gpudl.engine.spec import ShapeError, Spec, is_floating, promote
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import counted, ones_like, zeros_like
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import concatenate, reshape, take_slice


def _along(x: Spec, *, axis: int, reverse: bool = False) -> Spec:
    axes_of(x.ndim, axis)
    return counted(x)


def _turned(x: Array, axis: int, reverse: bool) -> Array:
    return x[(*(slice(None),) * (axis % x.ndim), slice(None, None, -1))] if reverse else x


@op(_along, flops=cost.per_input(1))
def cumsum(xp: ModuleType, out: Array, x: Array, *, axis: int, reverse: bool = False) -> None:
    """Return the sum of the elements up to each along `axis`, or with `reverse` from each on; bools are counted.

    Floats are added in float64, as by `sum`.
    """
    dtype = np.float64 if is_floating(x.dtype) else out.dtype
    out[...] = _turned(xp.cumsum(_turned(x, axis, reverse), axis=axis, dtype=dtype), axis, reverse)


cumsum.vjp(x=lambda g, y, x, axis, reverse=False: cumsum(g, axis=axis, reverse=not reverse))


@op(_along, flops=cost.per_input(1))
def cumprod(xp: ModuleType, out: Array, x: Array, *, axis: int, reverse: bool = False) -> None:
    """Return the product of the elements up to each along `axis`, or with `reverse` from each on."""
    out[...] = _turned(xp.cumprod(_turned(x, axis, reverse), axis=axis, dtype=out.dtype), axis, reverse)


def _recurrence(a: Spec, b: Spec, *, axis: int, reverse: bool = False) -> Spec:
    if a.shape != b.shape:
        raise ShapeError("a recurrence needs factors and terms of one shape.")
    axes_of(a.ndim, axis)
    return Spec(a.shape, promote(a.dtype, b.dtype))


@op(_recurrence, flops=cost.per_output(2))
def recurrence(xp: ModuleType, out: Array, a: Array, b: Array, *, axis: int, reverse: bool = False) -> None:
    """Return h with ``h[i] = a[i] * h[i - 1] + b[i]`` along `axis`, or with `reverse` ``a[i] * h[i + 1] + b[i]``."""
    rows, factors, terms = (_turned(xp.moveaxis(t, axis, 0), 0, reverse) for t in (out, a, b))
    for i in range(len(rows)):
        if i == 0:
            rows[:1] = terms[:1]
        else:
            rows[i : i + 1] = factors[i : i + 1] * rows[i - 1 : i] + terms[i : i + 1]


def _delayed(x: Tensor, axis: int, reverse: bool, first: Op[Tensor]) -> Tensor:
    """Return what comes before each element along `axis`, or with `reverse` after it; `first` makes the first of it."""
    lead = ((None, None, None),) * axes_of(x.ndim, axis)[0]
    edge = first(take_slice(x, key=(*lead, (-1, None, None) if reverse else (None, 1, None))))
    rest = take_slice(x, key=(*lead, (1, None, None) if reverse else (None, -1, None)))
    return concatenate(*((rest, edge) if reverse else (edge, rest)), axis=axis)


def _summed_behind(g: Tensor, factors: Tensor, axis: int, reverse: bool) -> Tensor:
    """Return the gradient of each ``h[i]``, which is in all later ones, from that of each alone."""
    return recurrence(_delayed(factors, axis, not reverse, zeros_like), g, axis=axis, reverse=not reverse)


recurrence.joint_vjp(
    ("a", "b"),
    lambda wanted, g, h, a, b, axis, reverse=False: (
        (of_terms := _summed_behind(g, a, axis, reverse)) * _delayed(h, axis, reverse, zeros_like),
        of_terms,
    ),
)
cumprod.vjp(
    x=lambda g, y, x, axis, reverse=False: _delayed(y, axis, reverse, ones_like) * _summed_behind(g, x, axis, reverse)
)


def _prod(x: Spec, *, axis: int) -> Spec:
    return reduce.summed(x, axis=axis)


@op(_prod, flops=cost.per_input(1))
def prod(xp: ModuleType, out: Array, x: Array, *, axis: int) -> None:
    """Return the product along `axis`; bools and integers below 32 bits are multiplied in 32."""
    out[...] = xp.prod(x, axis=axis, dtype=out.dtype)


def _of_product(g: Tensor, y: Tensor, x: Tensor, axis: int) -> Tensor:
    """Return the product of all other elements times g, which is exact where elements are 0 too."""
    before, after = (_delayed(cumprod(x, axis=axis, reverse=r), axis, r, ones_like) for r in (False, True))
    at = axes_of(x.ndim, axis)[0]
    return before * after * reshape(g, (*x.shape[:at], 1, *x.shape[at + 1 :]))


prod.vjp(x=_of_product)
