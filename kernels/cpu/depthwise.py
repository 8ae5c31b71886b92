"""Depthwise convolution and its two gradients, row by row and a vector of channels at a time (see `machine.channels`).

Layouts: x (N, H, W, C), w (KH, KW, C), y and g (N, OH, OW, C). Nothing is copied, and no zeros are multiplied: a row of
the result is the sum of parts of rows, one for each tap that reads pixels inside the image.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from .. import team
from ..geometry import Ints, Window
from ..registry import accelerates
from .conv_implicit import supports_images
from .machine.channels import RUN, correlated, filtered
from .machine.memory import clear
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import address
from .machine.window_ranges import Slide, slide, source
from .reduce import total

_PARTS = 16  # of the rows, where there are as many: partial sums of a weight gradient


@inner
def _columns(tap: int, s: Slide) -> tuple[int, int, int]:
    """Return the first output column whose tap in column `tap` is inside, how many there are, and the first's input."""
    shift = tap * s.dw - s.left
    first = 0 if shift >= 0 else (s.sw - 1 - shift) // s.sw
    last = min(s.ow - 1, (s.w - 1 - shift) // s.sw) if shift < s.w else -1
    return first, last - first + 1, shift + first * s.sw


@inner
def _row_runs(table: ndarray, row: int, s: Slide) -> int:
    """Fill a table with the runs of one output row; return their number."""
    runs, image, top = 0, row // s.oh, row % s.oh * s.sh - s.top
    for a in range(s.kh):
        y = top + a * s.dh
        if 0 <= y < s.h:
            for b in range(s.kw):
                first, count, x = _columns(b, s)
                if count > 0:
                    at = runs * RUN
                    table[at], table[at + 1] = first * s.c, ((image * s.h + y) * s.w + x) * s.c
                    table[at + 2], table[at + 3] = count, (a * s.kw + b) * s.c
                    runs += 1
    return runs


@inner
def _input_runs(table: ndarray, row: int, s: Slide) -> int:
    """Fill a table with the runs of one row of the gradient of the input; return their number."""
    runs, image = 0, row // s.h
    for a in range(s.kh):
        i = source(row % s.h + s.top - a * s.dh, s.sh, s.oh)
        if i >= 0:
            for b in range(s.kw):
                first, count, x = _columns(b, s)
                if count > 0:
                    at = runs * RUN
                    table[at], table[at + 1] = x * s.c, ((image * s.oh + i) * s.ow + first) * s.c
                    table[at + 2], table[at + 3] = count, (a * s.kw + b) * s.c
                    runs += 1
    return runs


@ParallelLoop
def _value(worker, workers, thread, y, x, w, tables, s):  # type: ignore[no-untyped-def]
    table, c = tables[thread], s.c
    for row in share(s.n * s.oh, worker, workers):
        runs, to = _row_runs(table, row, s), address(y) + 4 * row * s.ow * c
        filtered(to, s.ow, c, address(x), s.sw * c, address(w), address(table), runs, c)


@ParallelLoop
def _input(worker, workers, thread, dx, g, w, tables, s):  # type: ignore[no-untyped-def]
    table, c = tables[thread], s.c
    for row in share(s.n * s.h, worker, workers):
        runs, to = _input_runs(table, row, s), address(dx) + 4 * row * s.w * c
        filtered(to, s.w, s.sw * c, address(g), c, address(w), address(table), runs, c)


@ParallelLoop
def _weights(worker, workers, thread, parts, x, g, tables, s):  # type: ignore[no-untyped-def]
    table, c, count = tables[thread], s.c, len(parts)
    for part in share(count, worker, workers):
        clear(parts[part], 0, parts.shape[1])
        for row in range(part * s.n * s.oh // count, (part + 1) * s.n * s.oh // count):
            runs, at = _row_runs(table, row, s), address(g) + 4 * row * s.ow * c
            correlated(address(parts[part]), at, c, address(x), s.sw * c, address(table), runs, c)


def _tables(s: Slide) -> ndarray:
    return scratch(team.size(), s.kh * s.kw * RUN, dtype=np.int64)


def _work(s: Slide) -> int:
    return s.n * s.oh * s.ow * s.c * s.kh * s.kw


@accelerates("depthwise_conv2d", device="cpu", supports=supports_images)
def depthwise_conv2d(y: ndarray, x: ndarray, w: ndarray, *, window: Window) -> None:
    """Convolve each channel of x (N, H, W, C) with its filter in w (KH, KW, C) into y (N, OH, OW, C)."""
    s = slide(window, x.shape)
    _value(_work(s), y.reshape(-1), x.reshape(-1), w.reshape(-1), _tables(s), s)


def _supports_input(dx: ndarray, g: ndarray, w: ndarray, *, shape: Ints, window: Window) -> bool:
    return supports_images(dx, g, w, window=window)


@accelerates("depthwise_conv2d_input_grad", device="cpu", supports=_supports_input)
def depthwise_conv2d_input_grad(dx: ndarray, g: ndarray, w: ndarray, *, shape: Ints, window: Window) -> None:
    """Compute the gradient of `depthwise_conv2d` with respect to x from that of y, row by row."""
    s = slide(window, dx.shape)
    _input(_work(s), dx.reshape(-1), g.reshape(-1), w.reshape(-1), _tables(s), s)


@accelerates("depthwise_conv2d_weight_grad", device="cpu", supports=supports_images)
def depthwise_conv2d_weight_grad(dw: ndarray, x: ndarray, g: ndarray, *, window: Window) -> None:
    """Compute the gradient of `depthwise_conv2d` with respect to w from that of y.

    The rows are split into parts, which depend on the shapes alone, and whose sums are added up in order.
    """
    s = slide(window, x.shape)
    count = min(_PARTS, s.n * s.oh)
    parts = scratch(count, dw.size)
    _weights(_work(s), parts, x.reshape(-1), g.reshape(-1), _tables(s), s)
    total(parts.size, dw.reshape(-1), parts)
