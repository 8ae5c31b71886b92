"""Patches of images as rows of a matrix, and back: the memory side of a convolution as a matrix product."""

from __future__ import annotations

from typing import Any

from ..geometry import Ints, Window
from ..registry import accelerates
from .machine.memory import add, clear, copy
from .machine.prebound import Kernel, share
from .machine.threads import inner
from .machine.window_ranges import AXES, images, inside, interior, numbers, source


def _movable(cols: Any, x: Any, *, window: Window) -> bool:
    return (
        len(window.kernel) == AXES
        and cols.dtype == x.dtype
        and x.dtype.char in "efd"
        and cols.flags.c_contiguous
        and x.flags.c_contiguous
    )


@inner
def _copy_clipped(cols: Any, at: int, x: Any, row: int, x0: int, w: int, c: int, kw: int, dw: int) -> None:
    low, high = inside(x0, dw, kw, w)
    clear(cols, at, low * c)
    for b in range(low, high):
        copy(cols, at + b * c, x, (row + x0 + b * dw) * c, c)
    clear(cols, at + high * c, (kw - high) * c)


@Kernel
def _im2col(worker, workers, cols, x, n, h, w, c, kh, kw, sh, sw, dh, dw, top, left, oh, ow):  # type: ignore[no-untyped-def]
    # x (N, H, W, C) -> cols (N, OH, OW, KH, KW * C)
    low, high = interior(kw, sw, dw, left, w, ow)
    runs, length = (1, kw * c) if dw == 1 else (kw, c)
    patch = kh * kw * c
    for r in share(n * oh, worker, workers):
        sample, i = r // oh, r % oh
        for a in range(kh):
            at = (r * ow * kh + a) * kw * c
            y = i * sh - top + a * dh
            row = (sample * h + y) * w
            if y < 0 or y >= h:
                for j in range(ow):
                    clear(cols, at + j * patch, kw * c)
                continue
            for j in range(low):
                _copy_clipped(cols, at + j * patch, x, row, j * sw - left, w, c, kw, dw)
            for b in range(runs):
                for j in range(low, high):
                    copy(cols, at + j * patch + b * c, x, (row + j * sw - left + b * dw) * c, length)
            for j in range(high, ow):
                _copy_clipped(cols, at + j * patch, x, row, j * sw - left, w, c, kw, dw)


@accelerates("im2col", device="cpu", takes=_movable)
def im2col(cols: Any, x: Any, *, window: Window) -> None:
    """Lay out the patch under each position of `window`: x (N, H, W, C) -> cols (N*OH*OW, KH*KW*C).

    Example:
        >>> import numpy as np
        >>> x, cols = np.arange(6.0).reshape(1, 2, 3, 1), np.empty((2, 4))
        >>> im2col(cols, x, window=Window((2, 2), (1, 1)))
        >>> cols
        array([[0., 1., 3., 4.],
               [1., 2., 4., 5.]])
    """
    word = f"u{x.itemsize}"  # only moved, never computed with: the bits are enough
    shape = x.shape
    _im2col(cols.size, cols.reshape(-1).view(word), x.reshape(-1).view(word), *shape, *numbers(window, shape[1:3]))


@inner
def _add_clipped(x: Any, row: int, x0: int, cols: Any, at: int, w: int, c: int, kw: int, dw: int) -> None:
    low, high = inside(x0, dw, kw, w)
    for b in range(low, high):
        add(x, (row + x0 + b * dw) * c, cols, at + b * c, c)


@Kernel
def _col2im(worker, workers, x, cols, n, h, w, c, kh, kw, sh, sw, dh, dw, top, left, oh, ow):  # type: ignore[no-untyped-def]
    # cols (N, OH, OW, KH, KW * C) -> x (N, H, W, C). Positions go from right to left, so that each pixel
    # meets its taps from left to right.
    low, high = interior(kw, sw, dw, left, w, ow)
    patch = kh * kw * c
    for r in share(n * h, worker, workers):
        clear(x, r * w * c, w * c)
        for a in range(kh):
            i = source(r % h + top - a * dh, sh, oh)
            if i < 0:
                continue
            at = ((r // h * oh + i) * ow * kh + a) * kw * c
            for j in range(ow - 1, high - 1, -1):
                _add_clipped(x, r * w, j * sw - left, cols, at + j * patch, w, c, kw, dw)
            for j in range(high - 1, low - 1, -1):
                if dw == 1:
                    add(x, (r * w + j * sw - left) * c, cols, at + j * patch, kw * c)
                else:
                    _add_clipped(x, r * w, j * sw - left, cols, at + j * patch, w, c, kw, dw)
            for j in range(low - 1, -1, -1):
                _add_clipped(x, r * w, j * sw - left, cols, at + j * patch, w, c, kw, dw)


@accelerates("col2im", device="cpu", takes=images)
def col2im(x: Any, cols: Any, *, shape: Ints, window: Window) -> None:
    """Add each patch back to where `im2col` took it from: cols (N*OH*OW, KH*KW*C) -> x `shape`.

    Each row of pixels is gathered by one thread, tap by tap in row-major order.
    """
    _col2im(cols.size, x.reshape(-1), cols.reshape(-1), *shape, *numbers(window, tuple(shape[1:3])))
