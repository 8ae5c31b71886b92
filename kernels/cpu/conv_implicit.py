"""Convolution without im2col: the windows are read in place (see `machine.tile`).

Layouts: x (N, H, W, C), w (KH, KW, C, F), y and g (N, OH, OW, F). Work is done a block at a time (see `layout`). Where
the window needs padding, the input of a block is copied with its padding into a slab that stays in the cache; where
a max-pooling follows, the output of the block is such a slab too, and only the maxima are written to memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import team
from ..geometry import Window
from .machine.layout import Layout, Pooling, layout, pooling
from .machine.memory import clear, copy
from .machine.panels import panels_of
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import ROWS, Address, Left, Result, Right, address, compiled, product
from .machine.window_ranges import images
from .machine.windows import largest


class Epilogue(NamedTuple):
    """What is applied to the sums of a convolution before they are written to memory.

    Attributes:
        bias: (F,), or empty for none.
        positive: 1 for a ReLU, else 0.
        pool: the max-pooling of which only the maxima are written, or `NO_POOLING`.
        argmax: the taps of these maxima.
    """

    bias: ndarray
    positive: int
    pool: Pooling
    argmax: ndarray


class Buffers(NamedTuple):
    """Scratch memory, one row per thread: the input of a block with its padding, and the values to be pooled."""

    slabs: ndarray
    pooled: ndarray


@inner
def _fill(slab: ndarray, at: int, x: ndarray, image: int, first: int, rows: int, layout: Layout) -> None:
    # Copy rows first .. first + rows of the padded image `image` of x (N*H*W*C) to slab[at:] (rows, width, C).
    s, width = layout.slide, layout.width
    w, c, left = s.w, s.c, s.left
    inside = min(w, width - left) * c
    for i in range(rows):
        source, to = first + i - s.top, at + i * width * c
        if source < 0 or source >= s.h:
            clear(slab, to, width * c)
        else:
            clear(slab, to, left * c)
            copy(slab, to + left * c, x, (image * s.h + source) * w * c, inside)
            clear(slab, to + left * c + inside, width * c - left * c - inside)


@inner
def _block(unit: int, at: Layout) -> tuple[int, int, int, int, bool]:
    """Return the first image, number of images, first row, number of rows of a block, and whether it is a `rest`."""
    oh = at.slide.oh
    blocks = (oh + at.rows - 1) // at.rows
    image, first = unit // blocks * at.images, unit % blocks * at.rows
    count = min(at.images, at.slide.n - image)
    return image, count, first, min(at.rows, oh - first), count < at.images or first + at.rows > oh


@inner
def _blocks(at: Layout) -> int:
    return (at.slide.n + at.images - 1) // at.images * ((at.slide.oh + at.rows - 1) // at.rows)


@inner
def input_of(slab: ndarray, x: ndarray, image: int, count: int, first: int, rows: int, at: Layout) -> Address:
    """Return the address of a block's input: in x, or, where padded, in the slab, which is filled here."""
    s = at.slide
    if at.slab == 0:
        return address(x) + 4 * ((image * s.h + first * s.sh) * s.w * s.c)
    for m in range(count):
        lines = at.slab - (at.rows - rows) * s.sh
        _fill(slab, m * at.slab * at.width * s.c, x, image + m, first * s.sh, lines, at)
    return address(slab)


@ParallelLoop
def _forward(worker, workers, thread, tiles, y, x, right, after, at, buffers):  # type: ignore[no-untyped-def]
    s, f, pool = at.slide, at.filters, after.pool
    oh, ow = s.oh, s.ow
    for unit in share(_blocks(at), worker, workers):
        image, count, first, rows, partly = _block(unit, at)
        tables = at.rest if partly else at.block
        into = address(buffers.pooled[thread]) if pool.taps else address(y) + 4 * ((image * oh + first) * ow * f)
        source = input_of(buffers.slabs[thread], x, image, count, first, rows, at)
        product(
            tiles,
            Left(source, address(tables.pixels), address(tables.taps)),
            Right(address(right.data), address(right.row_offsets), right.panel_stride),
            Result(into, address(tables.outputs)),
            len(tables.taps) - ROWS,
            count * rows * ow,
            f,
            0,
            address(after.bias) if len(after.bias) else 0,
            after.positive,
        )
        if pool.taps:
            for m in range(count):
                for i in range((rows - pool.rows) // pool.sh + 1):
                    to = ((image + m) * pool.oh + first // pool.sh + i) * pool.ow * f
                    window = into + 4 * (m * oh + i * pool.sh) * ow * f
                    maxima, which = address(y) + 4 * to, address(after.argmax) + to
                    largest(window, pool.sw * f, pool.ow, address(pool.offsets), pool.taps, maxima, which, f)


def _real(*arrays: ndarray) -> bool:
    return all(a.dtype == np.float32 and a.size > 0 for a in arrays)


def supports_images(y: ndarray, x: ndarray, w: ndarray, *, window: Window) -> bool:
    """Accept C-contiguous float32 arrays that are not empty, under a window over two axes."""
    return images(y, x, w, window=window) and _real(y, x, w)


def slabs(at: Layout) -> ndarray:
    """Return the slabs into which blocks are copied with their padding, one per thread."""
    return scratch(team.size(), at.slab * at.width * at.slide.c * at.images + 1)


def convolve(
    y: ndarray,
    argmax: ndarray,
    x: ndarray,
    w: ndarray,
    b: ndarray,
    window: Window,
    activation: str,
    pool: Window | None,
) -> None:
    """Compute activation(conv2d(x, w) + b) for a linear or relu `activation`; with `pool`, its maxima instead."""
    filters = w.shape[3]
    depth = w.size // filters
    at = layout(window, x.shape, filters, steps=1 if pool is None else pool.strides[0])
    s = at.slide
    after = Epilogue(b, int(activation == "relu"), pooling(pool, (s.oh, s.ow), filters), argmax.reshape(-1))
    held = 1 if pool is None else at.rows * s.ow * filters * at.images
    buffers = Buffers(slabs(at), scratch(team.size(), held))
    work, right = s.n * s.oh * s.ow * filters * depth, panels_of(w, depth, filters)
    _forward(work, compiled(), y.reshape(-1), x.reshape(-1), right, after, at, buffers)
