"""Depthwise convolution: every channel has a filter of its own.

Layouts: x (N, H, W, C), w (KH, KW, C), y (N, OH, OW, C). The derivatives of the value and of its two gradients are
these ops again.
"""

from __future__ import annotations

from types import ModuleType

from gpudl.backend import Array
from gpudl.engine.spec import Shape, ShapeError, Spec, added_in, promote
from gpudl.kernels.geometry import Window
from gpudl.ops.primitives.declare import op

__all__ = [
    "depthwise_conv2d",
    "depthwise_conv2d_input_grad",
    "depthwise_conv2d_weight_grad",
]


def _flops(pixels: Spec, window: Window) -> int:
    """Count a multiplication and an addition for each output pixel and tap."""
    return 2 * window.taps * pixels.size


def _result(x: Shape, window: Window) -> Shape:
    if len(x) != 4:
        raise ShapeError(f"expected images (batch, height, width, channels), got {len(x)} axes.")
    return (x[0], *window.output(x[1:3]), x[3])


def _value(x: Spec, w: Spec, *, window: Window) -> Spec:
    y = _result(x.shape, window)
    if w.shape != (*window.kernel, x.shape[3]):
        raise ShapeError(f"the kernel must have shape {(*window.kernel, x.shape[3])}, got {w.shape}.")
    return Spec(y, promote(x.dtype, w.dtype))


@op(_value, flops=lambda outs, ins, static: _flops(outs[0], **static))
def depthwise_conv2d(xp: ModuleType, out: Array, x: Array, w: Array, *, window: Window) -> None:
    """Return the cross-correlation of each channel of x (N, H, W, C) with its filter in w (KH, KW, C)."""
    sums = xp.zeros(out.shape, added_in(out.dtype))
    for tap, (rows, columns), (i, j) in window.reach(x.shape[1:3]):
        sums[:, rows, columns] += x[:, i, j] * w[tap]
    out[...] = sums


def _input_grad(g: Spec, w: Spec, *, shape: Shape, window: Window) -> Spec:
    if g.shape != _result(shape, window) or w.shape != (*window.kernel, shape[3]):
        raise ShapeError(f"the gradient of a convolution of {shape} cannot have shape {g.shape}, with {w.shape}.")
    return Spec(shape, promote(g.dtype, w.dtype))


@op(_input_grad, flops=lambda outs, ins, static: _flops(ins[0], static["window"]))
def depthwise_conv2d_input_grad(
    xp: ModuleType, out: Array, g: Array, w: Array, *, shape: Shape, window: Window
) -> None:
    """Return the gradient of `depthwise_conv2d` with respect to x, from that of its output g."""
    sums = xp.zeros(out.shape, added_in(out.dtype))
    for tap, (rows, columns), (i, j) in window.reach(shape[1:3]):
        sums[:, i, j] += g[:, rows, columns] * w[tap]
    out[...] = sums


def _weight_grad(x: Spec, g: Spec, *, window: Window) -> Spec:
    if g.shape != _result(x.shape, window):
        raise ShapeError(f"the gradient of a convolution of {x.shape} cannot have shape {g.shape}.")
    return Spec((*window.kernel, x.shape[3]), promote(x.dtype, g.dtype))


@op(_weight_grad, flops=lambda outs, ins, static: _flops(ins[1], **static))
def depthwise_conv2d_weight_grad(xp: ModuleType, out: Array, x: Array, g: Array, *, window: Window) -> None:
    """Return the gradient of `depthwise_conv2d` with respect to w, from that of its output g."""
    for tap, (rows, columns), (i, j) in window.reach(x.shape[1:3]):
        out[tap] = (x[:, i, j] * g[:, rows, columns]).sum((0, 1, 2), dtype=added_in(out.dtype))


depthwise_conv2d.vjp(
    x=lambda g, y, x, w, window: depthwise_conv2d_input_grad(g, w, shape=x.shape, window=window),
    w=lambda g, y, x, w, window: depthwise_conv2d_weight_grad(x, g, window=window),
)
depthwise_conv2d_input_grad.vjp(
    g=lambda gg, y, g, w, shape, window: depthwise_conv2d(gg, w, window=window),
    w=lambda gg, y, g, w, shape, window: depthwise_conv2d_weight_grad(gg, g, window=window),
)
depthwise_conv2d_weight_grad.vjp(
    x=lambda gg, y, x, g, window: depthwise_conv2d_input_grad(g, gg, shape=x.shape, window=window),
    g=lambda gg, y, x, g, window: depthwise_conv2d(x, gg, window=window),
)
