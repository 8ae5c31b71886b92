"""Reshaping without a copy, transposition, slices, concatenation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import prod
from operator import index
from types import EllipsisType, ModuleType

import numpy as np

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.convert import operand
from gpudl.engine.parts import Part
from gpudl.engine.spec import Shape, ShapeError, Spec, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.kernels.expression import Expression
from gpudl.ops.primitives.declare import elementwise, op

__all__ = [
    "copy",
    "pack",
    "reshape",
]

Index = int | slice | EllipsisType | None
Key = tuple[int | tuple[int | None, int | None, int | None] | EllipsisType | None, ...]
"""What x[key] takes, with tuples (start, stop, step) in the place of slices."""


def _reshaped(x: Spec, *, shape: Shape) -> Spec:
    known = prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known and x.size % known == 0:
        shape = tuple(x.size // known if n == -1 else n for n in shape)
    if -1 in shape or prod(shape) != x.size:
        raise ShapeError(f"{x.size} elements of shape {x.shape} cannot be reshaped to {shape}.")
    return x.with_shape(shape)


@op(_reshaped, alias=True)
def reshape_view(xp: ModuleType, x: Array, *, shape: Shape) -> Array:
    """Return a view of the C-contiguous x in another shape; one size may be -1."""
    return x.reshape(shape)


reshape_view.vjp(x=lambda g, y, x, shape: reshape(g, x.shape))


def reshape(x: TensorLike, newshape: int | Sequence[int]) -> Tensor:
    """Return x in another shape, as a view if its memory is contiguous; one size may be -1.

    Raises:
        ShapeError: the shape has another number of elements.

    Example:
        >>> reshape([[1.0, 2.0], [3.0, 4.0]], -1).shape
        (4,)
    """
    x = operand(x)
    flags = getattr(x.data, "flags", None)  # values of a recorded step are contiguous
    if flags is not None and not flags.c_contiguous:
        x = transpose(x, axes=tuple(range(x.ndim)))  # a contiguous copy
    return reshape_view(x, shape=sizes(newshape))


def sizes(shape: int | Sequence[int]) -> Shape:
    """Return a shape, or one size, as a tuple of Python integers."""
    return tuple(map(index, shape)) if isinstance(shape, Iterable) else (index(shape),)


def _transposed(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"axes must be a permutation of {x.ndim} axes, got {axes}.")
    return x.with_shape(tuple(x.shape[a] for a in axes))


@op(_transposed, flops=cost.free)
def transpose(xp: ModuleType, out: Array, x: Array, *, axes: tuple[int, ...]) -> None:
    """Return x with its axes in another order, copied."""
    out[...] = x.transpose(axes)


def in_order(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return x with its axes in another order, x itself if it is the same."""
    return x if list(axes) == list(range(x.ndim)) else transpose(x, axes=tuple(axes))


def inverse(axes: Sequence[int]) -> tuple[int, ...]:
    """Return the order of axes that undoes another."""
    return tuple(int(a) for a in np.argsort(axes))


def _same(x: Spec) -> Spec:
    return x


@elementwise(_same, flops=cost.free)
def copy(x: Expression) -> Expression:
    """Return a copy of x, such as the current value of a variable."""
    return x


copy.vjp(x=lambda g, y, x: g)


def _reinterpreted(x: Spec, *, dtype: np.dtype) -> Spec:
    old, new = x.dtype.itemsize, dtype.itemsize
    if old == new:
        return x.with_dtype(dtype)
    if not x.ndim or x.shape[-1] * old % new:
        raise ShapeError(f"{x.shape[-1:]} elements of {x.dtype} along the last axis have no view as {dtype}.")
    return Spec((*x.shape[:-1], x.shape[-1] * old // new), dtype)


@op(_reinterpreted, flops=cost.free)
def reinterpret(xp: ModuleType, out: Array, x: Array, *, dtype: np.dtype) -> None:
    """Return the bytes of x as elements of another dtype; along the last axis there are more or fewer."""
    out[...] = xp.ascontiguousarray(x).reshape(x.shape).view(dtype)


def _conjugated(pairs: Tensor) -> Tensor:
    """Return pairs of real and imaginary parts, along the last axis, with the sign of the imaginary ones changed."""
    return pairs * np.tile(np.array([1, -1], pairs.dtype), pairs.shape[-1] // 2)


def _reinterpreted_back(g: Tensor, y: Tensor, x: Tensor, *, dtype: np.dtype) -> Tensor | None:
    """Return the gradient of complex numbers or of their parts: of z that of z.real, less i times that of z.imag."""
    if "c" not in (x.dtype.kind, y.dtype.kind) or x.dtype.kind == y.dtype.kind:
        return None
    return (
        reinterpret(_conjugated(g), dtype=x.dtype)
        if x.dtype.kind == "c"
        else _conjugated(reinterpret(g, dtype=x.dtype))
    )


reinterpret.vjp(x=_reinterpreted_back)


transpose.vjp(x=lambda g, y, x, axes: transpose(g, axes=inverse(axes)))


def _slices(key: Key) -> tuple[Index, ...]:
    return tuple(slice(*k) if isinstance(k, tuple) else k for k in key)


def _sliced(x: Spec, *, key: Key) -> Spec:
    try:
        return x.with_shape(np.broadcast_to(np.empty((), bool), x.shape)[_slices(key)].shape)
    except IndexError as error:
        raise ShapeError(f"{error}.") from None


@op(_sliced, flops=cost.free, reads=cost.chosen_read)
def take_slice(xp: ModuleType, out: Array, x: Array, *, key: Key) -> None:
    """Return a copy of x[key]; a slice in `key` is a tuple (start, stop, step)."""
    out[...] = x[_slices(key)]


def _unsliced(*gs: Spec, keys: tuple[Key, ...], shape: Shape) -> Spec:
    if len(gs) != len(keys):
        raise ShapeError(f"{len(keys)} keys were given for {len(gs)} gradients.")
    whole = Spec(shape, promote(*(g.dtype for g in gs)))
    for g, key in zip(gs, keys, strict=True):
        if _sliced(whole, key=key).shape != g.shape:
            raise ShapeError(f"the gradient of the part {key} of {shape} cannot have shape {g.shape}.")
    return whole


def _by_axis(key: Key, shape: Shape) -> list[Index]:
    """Return the part of a key for each axis."""
    parts = [part for part in _slices(key) if part is not None]
    at = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    rest = len(shape) - sum(part is not Ellipsis for part in parts)
    return [*parts[:at], *(slice(None),) * rest, *parts[at + 1 :]]


def _is_whole(part: Index, size: int) -> bool:
    return isinstance(part, slice) and len(range(size)[part]) == size


@lru_cache(maxsize=1024)
def _layout(keys: tuple[Key, ...], shape: Shape) -> tuple[bool, tuple[tuple[tuple[Index, ...], bool], ...]]:
    """Return whether parts leave gaps, to be filled with zeros, and for each its place and whether it is the first.

    The first part at a place is copied; further ones are added.
    """
    spelled = [_by_axis(key, shape) for key in keys]
    alike = [all(_is_whole(parts[a], n) for parts in spelled) for a, n in enumerate(shape)]
    seen = np.zeros([1 if same else n for same, n in zip(alike, shape, strict=True)], bool)
    gaps, places = False, []
    for key, parts in zip(keys, spelled, strict=True):
        at = tuple(slice(None) if same else part for same, part in zip(alike, parts, strict=True))
        before = seen[at]
        gaps = gaps or bool(before.any() and not before.all())
        places.append(((*_slices(key), *(() if Ellipsis in key else (...,))), not before.any()))
        seen[at] = True
    return gaps or not seen.all(), tuple(places)


@op(_unsliced, flops=lambda outs, ins, static: sum(g.size for g in ins))
def slice_grad(xp: ModuleType, out: Array, *gs: Array, keys: tuple[Key, ...], shape: Shape) -> None:
    """Return zeros of `shape` with each of gs added at its key: the adjoint of slicing."""
    gaps, places = _layout(keys, shape)
    if gaps:
        out[...] = 0
    for g, (at, first) in zip(gs, places, strict=True):
        part = out[at]
        if first:
            part[...] = g
        else:
            xp.add(part, g, out=part)


def _slices_laid(parts: list[Part], shape: Shape, whole: Tensor | None) -> Tensor:
    if whole is not None:
        parts = [Part(whole, (), _slices_laid), *parts]
    return slice_grad(*(part.g for part in parts), keys=tuple(part.at for part in parts), shape=shape)


take_slice.vjp(x=lambda g, y, x, key: Part(g, key, _slices_laid))
slice_grad.vjp(gs=lambda i, gg, y, *gs, keys, shape: take_slice(gg, key=keys[i]))


def _concatenated(*xs: Spec, axis: int) -> Spec:
    first = xs[0]
    if not -first.ndim <= axis < first.ndim:
        raise ShapeError(f"axis {axis} is out of range for arrays with {first.ndim} axes.")
    at = axis % first.ndim
    rest = {(*x.shape[:at], *x.shape[at + 1 :]) for x in xs}
    if len(rest) != 1 or len({x.ndim for x in xs}) != 1:
        raise ShapeError(f"sizes may differ along axis {axis} only.")
    size = 0
    for x in xs:
        size += x.shape[at]
    return Spec((*first.shape[:at], size, *first.shape[at + 1 :]), promote(*(x.dtype for x in xs)))


@op(_concatenated, flops=cost.free)
def concatenate(xp: ModuleType, out: Array, *xs: Array, axis: int) -> None:
    """Return the arrays concatenated along `axis`."""
    start = 0
    front = (slice(None),) * (axis % out.ndim)
    for x in xs:
        stop = start + x.shape[axis]
        out[(*front, slice(start, stop))] = x
        start = stop


def _part(i: int, g: Tensor, y: Tensor, *xs: Tensor, axis: int) -> Tensor:
    at = axis % xs[0].ndim
    start = 0
    for x in xs[:i]:
        start += x.shape[at]
    key = ((None, None, None),) * at + ((start, start + xs[i].shape[at], None),)
    return take_slice(g, key=key)


concatenate.vjp(xs=_part)


def _packed(*xs: Spec) -> Spec:
    if len({x.dtype for x in xs}) != 1:
        raise ShapeError("only arrays of one dtype can be packed into one buffer.")
    size = 0
    for x in xs:
        size += x.size
    return Spec((size,), xs[0].dtype)


@op(_packed, gathers=True, flops=cost.free)
def pack(xp: ModuleType, out: Array, *xs: Array) -> None:
    """Return the elements of all arrays, concatenated in one axis.

    In a plan the arrays are computed in place in the result, and nothing is copied.
    """
    start = 0
    for x in xs:
        out[start : start + x.size] = x.reshape(-1)
        start += x.size
