"""Patches of images as rows of a matrix, and back: the memory side of a convolution as a matrix product.

Arrays are flat inside the kernels and offsets are unsigned, which spares Numba's test for negative
indices and lets LLVM copy and add whole vectors.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..geometry import Ints, Window
from ..registry import accelerates, floats
from .machine.prebound import Kernel, share
from .machine.threads import inner

_AXES = 2


@lru_cache(maxsize=1024)
def numbers(window: Window, size: Ints) -> Ints:
    """Return (KH, KW, SH, SW, DH, DW, top, left, OH, OW) of `window` over an image of `size` (H, W)."""
    (top, _), (left, _) = window.pads(size)
    return (*window.kernel, *window.strides, *window.dilation, top, left, *window.output(size))


def images(*arrays: Any, window: Window, **static: Any) -> bool:
    """Accept `floats` under a window over two axes."""
    return floats(*arrays) and len(window.kernel) == _AXES


def _movable(cols: Any, x: Any, *, window: Window) -> bool:
    return (
        len(window.kernel) == _AXES
        and cols.dtype == x.dtype
        and x.dtype.char in "efd"
        and cols.flags.c_contiguous
        and x.flags.c_contiguous
    )


@inner
def inside(start: int, step: int, taps: int, size: int) -> tuple[int, int]:
    """Return the range of taps for which 0 <= start + tap * step < size."""
    low = 0 if start >= 0 else min((step - 1 - start) // step, taps)
    high = taps if start + (taps - 1) * step < size else (size - 1 - start) // step + 1
    return low, max(low, high)


@inner
def clear(to: Any, at: int, count: int) -> None:
    """Set to[at : at + count] to zero."""
    base = np.uintp(at)
    for k in range(np.uintp(count)):
        to[base + k] = 0


@inner
def copy(to: Any, at: int, source: Any, first: int, count: int) -> None:
    """Copy source[first : first + count] to to[at : at + count]."""
    t, s = np.uintp(at), np.uintp(first)
    for k in range(np.uintp(count)):
        to[t + k] = source[s + k]


@inner
def add(to: Any, at: int, source: Any, first: int, count: int) -> None:
    """Add source[first : first + count] to to[at : at + count]."""
    t, s = np.uintp(at), np.uintp(first)
    for k in range(np.uintp(count)):
        to[t + k] += source[s + k]


@inner
def interior(taps: int, stride: int, step: int, before: int, size: int, outputs: int) -> tuple[int, int]:
    """Return the range of output positions whose window lies wholly inside the input."""
    low = min((before + stride - 1) // stride, outputs)
    high = (size + before - (taps - 1) * step - 1) // stride + 1
    return low, max(low, min(high, outputs))


@inner
def source(y: int, stride: int, outputs: int) -> int:
    """Return the output position that stands at `y` of the padded input, or -1."""
    i = y // stride
    return i if y >= 0 and i * stride == y and i < outputs else -1


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
