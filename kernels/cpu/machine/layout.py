"""Memory layouts of convolutions and matrix products: tables of offsets, computed once per shape."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...geometry import Ints, Window
from .tile import ROWS
from .window_ranges import Slide, slide

BLOCK_FLOATS = 1 << 15  # floats of a block: 128 KiB, an eighth of many second-level caches
_MOST = 16  # images of a block at most


class Tables(NamedTuple):
    """The offsets of a convolution, in floats.

    Attributes:
        pixels: where the window of each output pixel of a block begins, in the images or in the slab.
        outputs: where each of these pixels begins in y; in both tables the last entry is repeated to fill a tile.
        taps: offset of each tap and channel in a window; the last entry is repeated too.
    """

    pixels: np.ndarray
    outputs: np.ndarray
    taps: np.ndarray


class Layout(NamedTuple):
    """How a convolution is cut into blocks: some output rows of one image, or all of them of several images.

    Attributes:
        slide: how its window slides over its images.
        filters: number of output channels.
        rows: number of output rows of a block.
        slab: rows of an image in the slab into which a block is copied with its padding; 0 without padding.
        width: columns of an image there, or in memory.
        images: number of images of a block.
        block: the tables of a whole block.
        rest: the tables of the last block of an image or of the batch, which may have fewer rows or images.
    """

    slide: Slide
    filters: int
    rows: int
    slab: int
    width: int
    images: int
    block: Tables
    rest: Tables


def table(values: np.ndarray) -> np.ndarray:
    """Return offsets as int64, followed by repetitions of the last one to fill a tile."""
    flat = np.asarray(values, np.int64).reshape(-1)
    return np.concatenate([flat, np.repeat(flat[-1:], ROWS)])


def _tables(s: Slide, images: int, rows: int, filters: int, apart: Ints, width: int) -> Tables:
    # `apart` is the distance between images in the input and in y
    n, i, j = np.meshgrid(np.arange(images), np.arange(rows), np.arange(s.ow), indexing="ij")
    a, b, c = np.meshgrid(np.arange(s.kh), np.arange(s.kw), np.arange(s.c), indexing="ij")
    return Tables(
        table(n * apart[0] + (i * s.sh * width + j * s.sw) * s.c),
        table(n * apart[1] + (i * s.ow + j) * filters),
        table((a * s.dh * width + b * s.dw) * s.c + c),
    )


def together(pixels: int, images: int) -> int:
    """Return the least number of images of a block in which at most one row of thirty in the tiles is padding."""
    few = range(1, min(images, _MOST) + 1)
    return next((count for count in few if 30 * (-count * pixels % ROWS) <= count * pixels), few[-1])


@lru_cache(maxsize=512)
def layout(
    window: Window,
    shape: Ints,
    filters: int,
    *,
    pixels: int = 0,
    steps: int = 1,
) -> Layout:
    """Return the layout over images of `shape` (N, H, W, C).

    Args:
        window: window of the convolution.
        shape: shape of the input.
        filters: number of output channels.
        pixels: approximate number of pixels of a block, where pixels are the inner dimension of the product; 0 where
            they are its rows.
        steps: the number of rows of a block is a multiple of this, unless it has all rows.
    """
    s, extent = slide(window, shape), window.extent
    padded = any(p for pair in window.pads(shape[1:3]) for p in pair)
    width = (s.ow - 1) * s.sw + extent[1] if padded else s.w
    line = max(s.sh * width * s.c, s.ow * filters)
    high = pixels // s.ow if pixels else BLOCK_FLOATS // line
    rows = min(s.oh, max(1, high // steps) * steps)
    slab = (rows - 1) * s.sh + extent[0] if padded else 0
    fits = max(1, BLOCK_FLOATS // (rows * line))
    size = s.oh * s.ow
    group = min(s.n, fits, max(1, pixels // size)) if pixels else together(size, min(s.n, fits))
    group = group if rows == s.oh else 1
    apart = (slab or s.h) * width * s.c, size * filters
    last = (s.n % group or group, s.oh) if rows == s.oh else (1, s.oh - (-(-s.oh // rows) - 1) * rows)
    block, rest = (_tables(s, *part, filters, apart, width) for part in ((group, rows), last))
    return Layout(s, filters, rows, slab, width, group, block, rest)


class Pooling(NamedTuple):
    """A pooling whose windows are inside the image.

    Attributes:
        taps: number of taps of a window; 0 for no pooling.
        sh, sw: strides.
        oh, ow: rows and columns of the output.
        rows: rows from the first to the last of a window, both included.
        gaps: whether there are pixels that no window covers.
        offsets: offset of each tap from the first pixel of a window, in floats.
    """

    taps: int
    sh: int
    sw: int
    oh: int
    ow: int
    rows: int
    gaps: int
    offsets: np.ndarray


NO_POOLING = Pooling(0, 0, 0, 0, 0, 0, 0, np.zeros(1, np.int64))


@lru_cache(maxsize=512)
def pooling(window: Window | None, size: Ints, channels: int) -> Pooling:
    """Return the pooling of images of `size` (H, W) by `window`; None means no pooling."""
    if window is None:
        return NO_POOLING
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.strides, window.dilation
    oh, ow = window.output(size)
    gaps = int(size != (oh * kh, ow * kw))
    a, b = np.meshgrid(np.arange(kh), np.arange(kw), indexing="ij")
    offsets = ((a * dh * size[1] + b * dw) * channels).reshape(-1).astype(np.int64)
    return Pooling(window.taps, sh, sw, oh, ow, window.extent[0], gaps, offsets)


@lru_cache(maxsize=512)
def multiples(count: int, stride: int) -> np.ndarray:
    """Return the table of 0, stride, 2 * stride and so on, `count` of them."""
    return table(np.arange(count) * stride)
