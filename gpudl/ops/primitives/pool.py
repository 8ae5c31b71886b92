"""Max and average pooling: x (N, H, W, C) -> y (N, OH, OW, C)."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array, Static
from gpudl.engine import cost
from gpudl.engine.spec import Shape, ShapeError, Spec, added_in, is_floating
from gpudl.kernels.geometry import Window
from gpudl.ops.primitives.declare import op

__all__ = [
    "avg_pool",
    "max_pool_grad",
    "max_pool_pick",
]


def _pooled(x: Spec, *, window: Window) -> Spec:
    if x.ndim != 4:
        raise ShapeError(f"expected images (batch, height, width, channels), got {x.ndim} axes.")
    return x.with_shape((x.shape[0], *window.output(x.shape[1:3]), x.shape[3]))


def argmax_dtype(window: Window) -> np.dtype:
    """Return the dtype for the index of a tap: uint8 where 256 values are enough."""
    return np.dtype(np.uint8 if window.taps <= 256 else np.int32)


def _max_pool(x: Spec, *, window: Window) -> tuple[Spec, Spec]:
    y = _pooled(x, window=window)
    if not is_floating(x.dtype):
        raise ShapeError(f"expected floats, got {x.dtype}. Cast first.")
    return y, y.with_dtype(argmax_dtype(window))


def _per_output(outs: tuple[Spec, ...], ins: tuple[Spec, ...], static: Static) -> int:
    """Count one operation per tap of each window."""
    return int(outs[0].size * static["window"].taps)


def _per_gradient(outs: tuple[Spec, ...], ins: tuple[Spec, ...], static: Static) -> int:
    """Count one operation per tap of each window of the gradient."""
    return int(ins[0].size * static["window"].taps)


@op(_max_pool, outs=2, flops=_per_output)
def max_pool(xp: ModuleType, y: Array, argmax: Array, x: Array, *, window: Window) -> None:
    """Return the maximum of each window, and the index of the tap that has it (the first, row by row).

    Padding is never the maximum; the first NaN of a window is.
    """
    argmax[...] = 0
    y[...] = -np.inf
    unset = xp.ones(y.shape, dtype=bool)
    for tap, (_, (rows, columns), (i, j)) in enumerate(window.reach(x.shape[1:3])):
        seen, best = x[:, i, j], y[:, rows, columns]
        wins = unset[:, rows, columns] | (seen > best) | (xp.isnan(seen) & ~xp.isnan(best))
        xp.copyto(best, seen, where=wins)
        xp.copyto(argmax[:, rows, columns], argmax.dtype.type(tap), where=wins)
        unset[:, rows, columns] = False


def _from_output(g: Spec, argmax: Spec, *, shape: Shape, window: Window) -> Spec:
    return _like_input(g, shape=shape, window=window)


def _like_input(g: Spec, *, shape: Shape, window: Window) -> Spec:
    x = g.with_shape(shape)
    if g.shape != _pooled(x, window=window).shape:
        raise ShapeError(f"the gradient of pooling {shape} cannot have shape {g.shape}.")
    return x


@op(_from_output, flops=cost.per_input(1))
def max_pool_grad(xp: ModuleType, out: Array, g: Array, argmax: Array, *, shape: Shape, window: Window) -> None:
    """Return the gradient of `max_pool` with respect to x: each g is added at the tap of the maximum."""
    sums = xp.zeros(out.shape, added_in(out.dtype))
    for tap, (_, (rows, columns), (i, j)) in enumerate(window.reach(shape[1:3])):
        won = argmax[:, rows, columns] == tap
        sums[:, i, j] += xp.where(won, g[:, rows, columns], g.dtype.type(0))
    out[...] = sums


def _picked(x: Spec, argmax: Spec, *, window: Window) -> Spec:
    y = _pooled(x, window=window)
    if argmax.shape != y.shape:
        raise ShapeError(f"the taps of the maxima have shape {y.shape}, not {argmax.shape}.")
    return y


@op(_picked, flops=cost.free)
def max_pool_pick(xp: ModuleType, out: Array, x: Array, argmax: Array, *, window: Window) -> None:
    """Return x at the taps of the maxima of `max_pool`: the adjoint of `max_pool_grad`."""
    out[...] = 0
    for tap, (_, (rows, columns), (i, j)) in enumerate(window.reach(x.shape[1:3])):
        xp.copyto(out[:, rows, columns], x[:, i, j], where=argmax[:, rows, columns] == tap)


max_pool.vjp(x=lambda g, y, x, window: max_pool_grad(g[0], y[1], shape=x.shape, window=window))
max_pool_grad.vjp(g=lambda gg, y, g, argmax, shape, window: max_pool_pick(gg, argmax, window=window))
max_pool_pick.vjp(x=lambda g, y, x, argmax, window: max_pool_grad(g, argmax, shape=x.shape, window=window))


def _counts(xp: ModuleType, like: Array, size: Shape, window: Window) -> Array:
    """Return the number of taps of each window inside the input, at least 1, (OH, OW, 1)."""
    counts = xp.zeros((*window.output(size), 1), dtype=like.dtype)
    for _, (rows, columns), _ in window.reach(size):
        counts[rows, columns] += 1
    return xp.maximum(counts, counts.dtype.type(1))


@op(_pooled, flops=_per_output)
def avg_pool(xp: ModuleType, out: Array, x: Array, *, window: Window) -> None:
    """Return the mean of each window over the taps inside the input."""
    sums = xp.zeros(out.shape, added_in(out.dtype))
    for _, (rows, columns), (i, j) in window.reach(x.shape[1:3]):
        sums[:, rows, columns] += x[:, i, j]
    out[...] = sums / _counts(xp, sums, x.shape[1:3], window)


@op(_like_input, flops=_per_gradient)
def avg_pool_grad(xp: ModuleType, out: Array, g: Array, *, shape: Shape, window: Window) -> None:
    """Return the gradient of `avg_pool` with respect to x: its adjoint."""
    sums = xp.zeros(out.shape, added_in(out.dtype))
    shares = g / _counts(xp, sums, shape[1:3], window)
    for _, (rows, columns), (i, j) in window.reach(shape[1:3]):
        sums[:, i, j] += shares[:, rows, columns]
    out[...] = sums


avg_pool.vjp(x=lambda g, y, x, window: avg_pool_grad(g, shape=x.shape, window=window))
avg_pool_grad.vjp(g=lambda gg, y, g, shape, window: avg_pool(gg, window=window))
