"""Convolution by im2col: the windows of the input become the rows of a matrix, which is multiplied by the filters.

Layouts: x (N, H, W, C), w (KH, KW, C, F), y (N, OH, OW, F), cols (N*OH*OW, KH*KW*C). The derivatives of the
three ops of a convolution, its value and its two gradients, are these ops again.
"""

from __future__ import annotations

from math import prod
from types import ModuleType

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.spec import Shape, ShapeError, Spec, promote
from gpudl.kernels.geometry import Window
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.matmul import matmul

__all__ = [
    "col2im",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "im2col",
]


def _windows(shape: Shape, window: Window) -> Shape:
    """Return (N, OH, OW) for an input of shape (N, H, W, C)."""
    if len(shape) != 4:
        raise ShapeError(f"expected images (batch, height, width, channels), got {len(shape)} axes.")
    return (shape[0], *window.output(shape[1:3]))


def cols_shape(shape: Shape, window: Window) -> Shape:
    """Return the shape of `im2col` of an input of `shape`."""
    n, oh, ow = _windows(shape, window)
    return (n * oh * ow, window.taps * shape[3])


def _im2col(x: Spec, *, window: Window) -> Spec:
    return x.with_shape(cols_shape(x.shape, window))


@op(_im2col, flops=cost.free)
def im2col(xp: ModuleType, cols: Array, x: Array, *, window: Window) -> None:
    """Return the windows of x as rows: (N, H, W, C) -> (N*OH*OW, KH*KW*C), zeros in the padding."""
    n, oh, ow = _windows(x.shape, window)
    spread = cols.reshape(n, oh, ow, *window.kernel, x.shape[3])
    spread[...] = 0
    for (a, b), (rows, columns), (i, j) in window.reach(x.shape[1:3]):
        spread[:, rows, columns, a, b] = x[:, i, j]


def _col2im(cols: Spec, *, shape: Shape, window: Window) -> Spec:
    if cols.shape != cols_shape(shape, window):
        raise ShapeError(f"the windows of an input {shape} are {cols_shape(shape, window)}, not {cols.shape}.")
    return cols.with_shape(shape)


@op(_col2im, flops=cost.per_input(1))
def col2im(xp: ModuleType, x: Array, cols: Array, *, shape: Shape, window: Window) -> None:
    """Return, for each input position, the sum over the places that `im2col` copies it to: the adjoint of `im2col`."""
    n, oh, ow = _windows(shape, window)
    spread = cols.reshape(n, oh, ow, *window.kernel, shape[3])
    x[...] = 0
    for (a, b), (rows, columns), (i, j) in window.reach(shape[1:3]):
        x[:, i, j] += spread[:, rows, columns, a, b]


im2col.vjp(x=lambda g, y, x, window: col2im(g, shape=x.shape, window=window))
col2im.vjp(cols=lambda g, y, cols, shape, window: im2col(g, window=window))


_ALGORITHMS = ("auto", "im2col", "implicit", "winograd", "gemm")


def _known(algorithm: str) -> None:
    if algorithm not in _ALGORITHMS:
        raise ShapeError(f"algorithm must be one of {', '.join(_ALGORITHMS)}, got {algorithm!r}.")


def _conv2d(x: Spec, w: Spec, *, window: Window, algorithm: str = "auto") -> Spec:
    _known(algorithm)
    outer = _windows(x.shape, window)
    if w.ndim != 4 or w.shape[:2] != window.kernel or w.shape[2] != x.shape[3]:
        expected = (*window.kernel, x.shape[3])
        raise ShapeError(f"the kernel must have shape {(*expected, 'filters')}, got {w.shape}.")
    return Spec((*outer, w.shape[3]), promote(x.dtype, w.dtype))


def _work_x(x: Spec, w: Spec, *, window: Window, algorithm: str = "auto") -> Spec:
    return Spec(cols_shape(x.shape, window), promote(x.dtype, w.dtype))


def _flops(pixels: Spec, w: Spec) -> int:
    """Count the multiplications and additions of a convolution with w, for each output pixel and filter."""
    return 2 * pixels.size * prod(w.shape[:3])


@op(_conv2d, workspace=_work_x, flops=lambda outs, ins, static: _flops(outs[0], ins[1]))
def conv2d(
    xp: ModuleType, out: Array, x: Array, w: Array, *, window: Window, algorithm: str = "auto", work: Array
) -> None:
    """Return the cross-correlation of x (N, H, W, C) with w (KH, KW, C, F): (N, OH, OW, F).

    `algorithm` is for tests and measurements: "im2col", "implicit", "winograd" (3 x 3, strides of 1) and "gemm" (1 x 1)
    select an algorithm, if there is a kernel that supports it; "auto" selects the fastest.
    """
    im2col.run((work,), (x,), {"window": window})
    filters = w.shape[3]
    matmul.run((out.reshape(-1, filters),), (work, w.reshape(-1, filters)), {})


def _input_grad(g: Spec, w: Spec, *, shape: Shape, window: Window, algorithm: str = "auto") -> Spec:
    _known(algorithm)
    if g.shape != (*_windows(shape, window), w.shape[3]):
        raise ShapeError(f"the gradient of a convolution of {shape} cannot have shape {g.shape}.")
    return Spec(shape, promote(g.dtype, w.dtype))


def _work_g(g: Spec, w: Spec, *, shape: Shape, window: Window, algorithm: str = "auto") -> Spec:
    return Spec(cols_shape(shape, window), promote(g.dtype, w.dtype))


@op(_input_grad, workspace=_work_g, flops=lambda outs, ins, static: _flops(*ins))
def conv2d_input_grad(
    xp: ModuleType,
    out: Array,
    g: Array,
    w: Array,
    *,
    shape: Shape,
    window: Window,
    algorithm: str = "auto",
    work: Array,
) -> None:
    """Return the gradient of `conv2d` with respect to x, from that of its output g (N, OH, OW, F)."""
    filters = w.shape[3]
    matmul.run((work,), (g.reshape(-1, filters), w.reshape(-1, filters)), {"transpose_b": True})
    col2im.run((out,), (work,), {"shape": shape, "window": window})


def _weight_grad(x: Spec, g: Spec, *, window: Window, algorithm: str = "auto") -> Spec:
    _known(algorithm)
    if g.ndim != 4 or g.shape[:3] != _windows(x.shape, window):
        raise ShapeError(f"the gradient of a convolution of {x.shape} cannot have shape {g.shape}.")
    return Spec((*window.kernel, x.shape[3], g.shape[3]), promote(x.dtype, g.dtype))


@op(_weight_grad, workspace=_work_x, flops=lambda outs, ins, static: _flops(ins[1], outs[0]))
def conv2d_weight_grad(
    xp: ModuleType, out: Array, x: Array, g: Array, *, window: Window, algorithm: str = "auto", work: Array
) -> None:
    """Return the gradient of `conv2d` with respect to w, from that of its output g (N, OH, OW, F)."""
    im2col.run((work,), (x,), {"window": window})
    filters = g.shape[3]
    matmul.run((out.reshape(-1, filters),), (work, g.reshape(-1, filters)), {"transpose_a": True})


conv2d.vjp(
    x=lambda g, y, x, w, **how: conv2d_input_grad(g, w, shape=x.shape, **how),
    w=lambda g, y, x, w, **how: conv2d_weight_grad(x, g, **how),
)
conv2d_input_grad.vjp(
    g=lambda gg, y, g, w, shape, **how: conv2d(gg, w, **how),
    w=lambda gg, y, g, w, shape, **how: conv2d_weight_grad(gg, g, **how),
)
conv2d_weight_grad.vjp(
    x=lambda gg, y, x, g, **how: conv2d_input_grad(g, gg, shape=x.shape, **how),
    g=lambda gg, y, x, g, **how: conv2d(x, gg, **how),
)
