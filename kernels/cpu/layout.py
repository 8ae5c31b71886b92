"""Where things lie in a convolution or a matrix product: tables of offsets, made once per shape, and scratch memory."""

from __future__ import annotations

from functools import lru_cache
from threading import local
from typing import Any, NamedTuple

import numpy as np

from ..geometry import Ints, Window
from .microkernel import ROWS

_SLAB = 1 << 15  # floats of a group of rows: 128 KiB
_kept = local()


class Tables(NamedTuple):
    """The addresses of a convolution, counted in floats.

    Attributes:
        pixels: where the window of each output pixel of a block of rows begins in its image or slab.
        outputs: where each of these pixels begins in y; in both, the last pixel is repeated to fill a tile.
        taps: where each tap and channel lies in a window; the last one is repeated too.
    """

    pixels: Any
    outputs: Any
    taps: Any


class Layout(NamedTuple):
    """How a convolution over images of one size is cut into blocks of output rows.

    Attributes:
        numbers: H, W, C, F, OH, OW, SH, SW, top, left, rows of a block, rows of its slab (0 without padding), width of
            the slab or the image.
        block: the tables of a whole block.
        rest: the tables of the last block, which may have fewer rows.
    """

    numbers: Any
    block: Tables
    rest: Tables


def table(values: Any) -> Any:
    """Return offsets as int64, followed by repeats of the last one to fill a tile."""
    flat = np.asarray(values, np.int64).reshape(-1)
    return np.concatenate([flat, np.repeat(flat[-1:], ROWS)])


def _tables(window: Window, rows: int, ow: int, width: int, channels: int, filters: int) -> Tables:
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.strides, window.dilation
    i, j = np.meshgrid(np.arange(rows), np.arange(ow), indexing="ij")
    a, b, c = np.meshgrid(np.arange(kh), np.arange(kw), np.arange(channels), indexing="ij")
    return Tables(
        table((i * sh * width + j * sw) * channels),
        table((i * ow + j) * filters),
        table((a * dh * width + b * dw) * channels + c),
    )


@lru_cache(maxsize=256)
def layout(window: Window, size: Ints, channels: int, filters: int, whole: bool = False) -> Layout:
    """Return the layout over images of `size` (H, W); `whole` makes one block of all rows."""
    (h, w), (sh, sw), extent = size, window.strides, window.extent
    (top, _), (left, _) = window.pads(size)
    oh, ow = window.output(size)
    padded = any(p for pair in window.pads(size) for p in pair)
    width = (ow - 1) * sw + extent[1] if padded else w
    rows = oh if whole else min(oh, max(1, _SLAB // max(sh * width * channels, ow * filters)))
    slab = (rows - 1) * sh + extent[0] if padded else 0
    numbers = (h, w, channels, filters, oh, ow, sh, sw, top, left, rows, slab, width)
    return Layout(
        np.array(numbers, np.int64),
        _tables(window, rows, ow, width, channels, filters),
        _tables(window, oh - (-(-oh // rows) - 1) * rows, ow, width, channels, filters),
    )


def scratch(name: str, *shape: int) -> Any:
    """Return float32 scratch memory, the same for the same name and shape."""
    # Kept from call to call, so that a replayed step allocates nothing; one for each thread that calls.
    kept: dict[Any, Any] = _kept.__dict__
    key = (name, shape)
    if key not in kept:
        kept[key] = np.empty(shape, np.float32)
    return kept[key]


@lru_cache(maxsize=512)
def multiples(count: int, stride: int) -> Any:
    """Return the table of 0, stride, 2 * stride and so on, `count` of them."""
    return table(np.arange(count) * stride)
