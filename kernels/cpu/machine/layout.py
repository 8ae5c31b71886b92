"""Where things lie in a convolution or a matrix product: tables of offsets, made once per shape."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...geometry import Ints, Window
from .tile import ROWS

_SLAB = 1 << 15  # floats of a block: 128 KiB, an eighth of many second-level caches
_MOST = 16  # images of a block


class Tables(NamedTuple):
    """The addresses of a convolution, counted in floats.

    Attributes:
        pixels: where the window of each output pixel of a block begins in its images or slab.
        outputs: where each of these pixels begins in y; in both, the last pixel is repeated to fill a tile.
        taps: where each tap and channel lies in a window; the last one is repeated too.
    """

    pixels: Any
    outputs: Any
    taps: Any


class Layout(NamedTuple):
    """How a convolution is cut into blocks: some output rows of one image, or all of them of several images.

    Attributes:
        numbers: H, W, C, F, OH, OW, SH, SW, top, left, rows of a block, rows of an image in its slab (0 without
            padding), width of the slab or the image, images of a block.
        block: the tables of a whole block.
        rest: the tables of the last block of an image or of all, which may have fewer rows or images.
    """

    numbers: Any
    block: Tables
    rest: Tables


def table(values: Any) -> Any:
    """Return offsets as int64, followed by repeats of the last one to fill a tile."""
    flat = np.asarray(values, np.int64).reshape(-1)
    return np.concatenate([flat, np.repeat(flat[-1:], ROWS)])


def _tables(window: Window, images: int, rows: int, out: Ints, apart: Ints, width: int, channels: int) -> Tables:
    # `out` is (OW, F), `apart` the distance of two images in the input and in y
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.strides, window.dilation
    n, i, j = np.meshgrid(np.arange(images), np.arange(rows), np.arange(out[0]), indexing="ij")
    a, b, c = np.meshgrid(np.arange(kh), np.arange(kw), np.arange(channels), indexing="ij")
    return Tables(
        table(n * apart[0] + (i * sh * width + j * sw) * channels),
        table(n * apart[1] + (i * out[0] + j) * out[1]),
        table((a * dh * width + b * dw) * channels + c),
    )


def _together(pixels: int, images: int) -> int:
    """Return how many images make a block whose pixels fill their tiles up to one in thirty."""
    few = range(1, min(images, _MOST) + 1)
    return next((count for count in few if 30 * (-count * pixels % ROWS) <= count * pixels), few[-1])


@lru_cache(maxsize=512)
def layout(
    window: Window,
    shape: Ints,
    filters: int,
    *,
    whole: bool = False,
    pixels: int = 0,
    steps: int = 1,
) -> Layout:
    """Return the layout over images of `shape` (N, H, W, C).

    Args:
        window: of the convolution.
        shape: of the input.
        filters: channels of the output.
        whole: put all rows of an image into one block.
        pixels: about as many as a block should have, where they are the steps of a product; 0 where they are its rows.
        steps: the rows of a block are a multiple of this, where it does not have all.
    """
    (n, h, w, channels), (sh, sw), extent = shape, window.strides, window.extent
    (top, _), (left, _) = window.pads((h, w))
    oh, ow = window.output((h, w))
    padded = any(p for pair in window.pads((h, w)) for p in pair)
    width = (ow - 1) * sw + extent[1] if padded else w
    line = max(sh * width * channels, ow * filters)
    high = pixels // ow if pixels else _SLAB // line
    rows = oh if whole else min(oh, max(1, high // steps) * steps)
    slab = (rows - 1) * sh + extent[0] if padded else 0
    fits = max(1, _SLAB // (rows * line))
    group = min(n, fits, max(1, pixels // (oh * ow))) if pixels else _together(oh * ow, min(n, fits))
    group = group if rows == oh else 1
    numbers = (h, w, channels, filters, oh, ow, sh, sw, top, left, rows, slab, width, group)
    apart = (slab or h) * width * channels, oh * ow * filters
    last = (n % group or group, oh) if rows == oh else (1, oh - (-(-oh // rows) - 1) * rows)
    return Layout(
        np.array(numbers, np.int64),
        _tables(window, group, rows, (ow, filters), apart, width, channels),
        _tables(window, *last, (ow, filters), apart, width, channels),
    )


class Pooling(NamedTuple):
    """A pooling whose windows lie inside the image.

    Attributes:
        numbers: taps (0 for no pooling), SH, SW, OH, OW, rows of a window, whether windows leave pixels out.
        taps: where each tap lies, counted in floats from the first pixel of a window.
    """

    numbers: Any
    taps: Any


@lru_cache(maxsize=512)
def pooling(window: Window | None, size: Ints, channels: int) -> Pooling:
    """Return how `window` pools images of `size` (H, W); None stands for no pooling."""
    if window is None:
        return Pooling(np.zeros(7, np.int64), np.zeros(1, np.int64))
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.strides, window.dilation
    oh, ow = window.output(size)
    gaps = size != (oh * kh, ow * kw)
    a, b = np.meshgrid(np.arange(kh), np.arange(kw), indexing="ij")
    return Pooling(
        np.array((window.taps, sh, sw, oh, ow, window.extent[0], gaps), np.int64),
        ((a * dh * size[1] + b * dw) * channels).reshape(-1).astype(np.int64),
    )


@lru_cache(maxsize=512)
def multiples(count: int, stride: int) -> Any:
    """Return the table of 0, stride, 2 * stride and so on, `count` of them."""
    return table(np.arange(count) * stride)
