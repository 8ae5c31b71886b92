"""im2col and col2im: patches of images as rows of a matrix, and their adjoint, for convolution by a matrix product."""

from __future__ import annotations

from numpy import ndarray

from ..geometry import Ints, Window
from ..registry import accelerates
from .machine.memory import add, clear, copy
from .machine.prebound import ParallelLoop, share
from .machine.threads import inner
from .machine.window_ranges import AXES, Slide, images, inside, interior, slide, source


def _movable(cols: ndarray, x: ndarray, *, window: Window) -> bool:
    return (
        len(window.kernel) == AXES
        and cols.dtype == x.dtype
        and x.dtype.char in "efd"
        and cols.flags.c_contiguous
        and x.flags.c_contiguous
    )


@inner
def _copy_clipped(cols: ndarray, at: int, x: ndarray, row: int, x0: int, s: Slide) -> None:
    c, dw = s.c, s.dw
    low, high = inside(x0, dw, s.kw, s.w)
    clear(cols, at, low * c)
    for b in range(low, high):
        copy(cols, at + b * c, x, (row + x0 + b * dw) * c, c)
    clear(cols, at + high * c, (s.kw - high) * c)


@ParallelLoop
def _im2col(worker, workers, cols, x, s):  # type: ignore[no-untyped-def]
    # x (N, H, W, C) -> cols (N, OH, OW, KH, KW * C)
    c, ow, line = s.c, s.ow, s.kw * s.c
    low, high = interior(s.kw, s.sw, s.dw, s.left, s.w, ow)
    runs, length = (1, line) if s.dw == 1 else (s.kw, c)
    patch = s.kh * line
    for r in share(s.n * s.oh, worker, workers):
        sample, i = r // s.oh, r % s.oh
        for a in range(s.kh):
            at = (r * ow * s.kh + a) * line
            y = i * s.sh - s.top + a * s.dh
            row = (sample * s.h + y) * s.w
            if y < 0 or y >= s.h:
                for j in range(ow):
                    clear(cols, at + j * patch, line)
                continue
            for j in range(low):
                _copy_clipped(cols, at + j * patch, x, row, j * s.sw - s.left, s)
            for b in range(runs):
                for j in range(low, high):
                    copy(cols, at + j * patch + b * c, x, (row + j * s.sw - s.left + b * s.dw) * c, length)
            for j in range(high, ow):
                _copy_clipped(cols, at + j * patch, x, row, j * s.sw - s.left, s)


@accelerates("im2col", device="cpu", supports=_movable)
def im2col(cols: ndarray, x: ndarray, *, window: Window) -> None:
    """Copy the patch under each position of `window` to a row: x (N, H, W, C) -> cols (N*OH*OW, KH*KW*C).

    Example:
        >>> import numpy as np
        >>> x, cols = np.arange(6.0).reshape(1, 2, 3, 1), np.empty((2, 4))
        >>> im2col(cols, x, window=Window((2, 2), (1, 1)))
        >>> cols
        array([[0., 1., 3., 4.],
               [1., 2., 4., 5.]])
    """
    word = f"u{x.itemsize}"  # elements are only moved, so that their size is all that matters
    _im2col(cols.size, cols.reshape(-1).view(word), x.reshape(-1).view(word), slide(window, x.shape))


@inner
def _add_clipped(x: ndarray, row: int, x0: int, cols: ndarray, at: int, s: Slide) -> None:
    low, high = inside(x0, s.dw, s.kw, s.w)
    for b in range(low, high):
        add(x, (row + x0 + b * s.dw) * s.c, cols, at + b * s.c, s.c)


@ParallelLoop
def _col2im(worker, workers, x, cols, s):  # type: ignore[no-untyped-def]
    # cols (N, OH, OW, KH, KW * C) -> x (N, H, W, C). Positions run from right to left, so that the taps
    # of each pixel are added from left to right.
    c, w, ow, line = s.c, s.w, s.ow, s.kw * s.c
    low, high = interior(s.kw, s.sw, s.dw, s.left, w, ow)
    patch = s.kh * line
    for r in share(s.n * s.h, worker, workers):
        clear(x, r * w * c, w * c)
        for a in range(s.kh):
            i = source(r % s.h + s.top - a * s.dh, s.sh, s.oh)
            if i < 0:
                continue
            at = ((r // s.h * s.oh + i) * ow * s.kh + a) * line
            for j in range(ow - 1, high - 1, -1):
                _add_clipped(x, r * w, j * s.sw - s.left, cols, at + j * patch, s)
            for j in range(high - 1, low - 1, -1):
                if s.dw == 1:
                    add(x, (r * w + j * s.sw - s.left) * c, cols, at + j * patch, line)
                else:
                    _add_clipped(x, r * w, j * s.sw - s.left, cols, at + j * patch, s)
            for j in range(low - 1, -1, -1):
                _add_clipped(x, r * w, j * s.sw - s.left, cols, at + j * patch, s)


@accelerates("col2im", device="cpu", supports=images)
def col2im(x: ndarray, cols: ndarray, *, shape: Ints, window: Window) -> None:
    """Add each patch to the pixels that `im2col` copied it from: cols (N*OH*OW, KH*KW*C) -> x `shape`.

    Each row of pixels is summed by one thread, tap by tap in row-major order.
    """
    _col2im(cols.size, x.reshape(-1), cols.reshape(-1), slide(window, tuple(shape)))
