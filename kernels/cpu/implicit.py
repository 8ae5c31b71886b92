"""Convolution without im2col: the windows are read where they lie (see `microkernel`).

Layouts: x (N, H, W, C), w (KH, KW, C, F), y and g (N, OH, OW, F). Where the window needs padding, a group of
rows of one image at a time is copied with its padding into a slab that stays in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import get_num_threads, prange

from ..geometry import Ints, Window
from ..registry import accelerates
from .conv import clear, copy, images
from .layout import Layout, layout, multiples, scratch
from .microkernel import PANEL, ROWS, address, product
from .threads import Kernel, inner


@inner
def _fill(
    slab: Any, x: Any, image: Any, first: Any, rows: Any, top: Any, left: Any, h: Any, w: Any, c: Any, width: Any
) -> None:
    # Copy rows first .. first + rows of the padded image number `image` of x (N*H*W*C) to slab (rows, width, C).
    inside = min(w, width - left) * c
    for i in range(rows):
        source, to = first + i - top, i * width * c
        if source < 0 or source >= h:
            clear(slab, to, width * c)
        else:
            clear(slab, to, left * c)
            copy(slab, to + left * c, x, (image * h + source) * w * c, inside)
            clear(slab, to + left * c + inside, width * c - left * c - inside)


@Kernel
def _forward(y, x, w, ldb, bstep, n, numbers, block, rest, slabs):  # type: ignore[no-untyped-def]
    h, wide, c, f, oh, ow, sh, _, top, left, rows, slab, width = numbers
    blocks = (oh + rows - 1) // rows
    chunks = len(slabs)
    for t in prange(chunks):
        for unit in range(t * n * blocks // chunks, (t + 1) * n * blocks // chunks):
            image, at = unit // blocks, unit % blocks
            first = at * rows
            count = min(rows, oh - first)
            tables = rest if at == blocks - 1 else block
            if slab:
                _fill(slabs[t], x, image, first * sh, slab - (rows - count) * sh, top, left, h, wide, c, width)
                source = address(slabs[t])
            else:
                source = address(x) + 4 * ((image * h + first * sh) * wide * c)
            product(
                source,
                address(tables[0]),
                address(tables[2]),
                len(tables[2]) - ROWS,
                address(w),
                ldb,
                bstep,
                address(y) + 4 * ((image * oh + first) * ow * f),
                address(tables[1]),
                count * ow,
                f,
                0,
            )


@Kernel
def _panels(packed, w):  # type: ignore[no-untyped-def]
    # w (K, F) -> packed (panels, K, PANEL): the columns of a tile one after another
    panels, depth, wide = packed.shape
    for p in prange(panels):
        count = min(w.shape[1] - p * wide, wide)
        for k in range(depth):
            for v in range(count):
                packed[p, k, v] = w[k, p * wide + v]


def panels_of(w: Any, depth: int, columns: int) -> tuple[Any, int, int]:
    """Return a right side (K, F) for `product`, with ldb and bstep: as it is, or in panels where it is wide."""
    flat = w.reshape(depth, columns)
    if columns <= PANEL:
        return flat, columns, 1
    packed = scratch("panels", -(-columns // PANEL), depth, PANEL)
    _panels(w.size, packed, flat)
    return packed, PANEL, depth


def _takes(y: Any, x: Any, w: Any, *, window: Window, **static: Any) -> bool:
    return images(y, x, w, window=window) and y.dtype == x.dtype == w.dtype == np.float32 and y.size * w.size > 0


def _slab_size(at: Layout) -> int:
    return int(at.numbers[11] * at.numbers[12] * at.numbers[2]) + 1


def _slabs(at: Layout) -> Any:
    return scratch("slabs", get_num_threads(), _slab_size(at))


@accelerates("conv2d", device="cpu", takes=_takes)
def conv2d(y: Any, x: Any, w: Any, *, window: Window) -> None:
    """Convolve x (N, H, W, C) with w (KH, KW, C, F) into y (N, OH, OW, F)."""
    at = layout(window, x.shape[1:3], x.shape[3], w.shape[3])
    depth = w.size // w.shape[3]
    filters, ldb, bstep = panels_of(w, depth, w.shape[3])
    _forward(y.size * depth, y, x.reshape(-1), filters, ldb, bstep, len(x), at.numbers, *at[1:], _slabs(at))


@Kernel
def turned(packed, w):  # type: ignore[no-untyped-def]
    """Transpose each w[tap], (C, F), into panels: packed (taps, panels of C, F, PANEL)."""
    taps, panels, f, wide = packed.shape
    for unit in prange(taps * panels):
        tap, p = unit // panels, unit % panels
        for k in range(f):
            for v in range(min(w.shape[1] - p * wide, wide)):
                packed[tap, p, k, v] = w[tap, p * wide + v, k]


@Kernel
def _backward(dx, g, w, n, kernel, dilation, numbers, whole, channels, slabs):  # type: ignore[no-untyped-def]
    # Every tap adds g (N, OH, OW, F) times its filters (F, C) to the pixels of dx that it looked at. A unit owns
    # the columns of one panel of channels of one image.
    h, wide, c, f, oh, ow, _, _, top, left, _, slab, width = numbers
    panels, panel = w.shape[1], w.shape[3]
    chunks = len(slabs)
    for t in prange(chunks):
        for unit in range(t * n * panels // chunks, (t + 1) * n * panels // chunks):
            image, p = unit // panels, unit % panels
            columns, start = min(c - p * panel, panel), image * h * wide * c + p * panel
            if slab:
                into = address(slabs[t]) + 4 * p * panel
                for pixel in range(slab * width):
                    clear(slabs[t], pixel * c + p * panel, columns)
            else:
                into = address(dx) + 4 * start
                for pixel in range(h * wide):
                    clear(dx, start + pixel * c, columns)
            for a in range(kernel[0]):
                for b in range(kernel[1]):
                    product(
                        address(g) + 4 * image * oh * ow * f,
                        address(whole[1]),
                        address(channels),
                        f,
                        address(w) + 4 * ((a * kernel[1] + b) * panels + p) * f * panel,
                        panel,
                        1,
                        into + 4 * (a * dilation[0] * width + b * dilation[1]) * c,
                        address(whole[0]),
                        oh * ow,
                        columns,
                        1,
                    )
            if slab:
                for i in range(h):
                    for j in range(wide):
                        to = start + (i * wide + j) * c
                        if i + top < slab and j + left < width:
                            copy(dx, to, slabs[t], ((i + top) * width + j + left) * c + p * panel, columns)
                        else:
                            clear(dx, to, columns)


@accelerates("conv2d_input_grad", device="cpu", takes=_takes)
def conv2d_input_grad(dx: Any, g: Any, w: Any, *, shape: Ints, window: Window) -> None:
    """Compute the gradient of `conv2d` with respect to x from that of y: every tap adds its share."""
    taps, (c, f) = window.taps, w.shape[2:]
    at = layout(window, tuple(shape[1:3]), c, f, True)
    packed = scratch("turned", taps, -(-c // PANEL), f, PANEL)
    turned(w.size, packed, w.reshape(taps, c, f))
    _backward(
        g.size * taps * c,
        dx.reshape(-1),
        g,
        packed,
        len(g),
        window.kernel,
        window.dilation,
        at.numbers,
        at.block,
        multiples(f, 1),
        _slabs(at),
    )


@Kernel
def _weights(parts, x, g, n, share, crow, numbers, block, rest, slabs):  # type: ignore[no-untyped-def]
    # parts (P, K, F): each the sum over its images; row k of a tile is a tap and channel, the steps are pixels
    h, wide, c, f, oh, ow, sh, _, top, left, rows, slab, width = numbers
    blocks = (oh + rows - 1) // rows
    depth = parts.shape[1]
    shares = (depth + share - 1) // share
    for unit in prange(len(parts) * shares):
        part, begin = unit // shares, unit % shares * share
        taps = min(share, depth - begin)
        for image in range(part * n // len(parts), (part + 1) * n // len(parts)):
            for at in range(blocks):
                first = at * rows
                count = min(rows, oh - first)
                tables = rest if at == blocks - 1 else block
                if slab:
                    _fill(slabs[unit], x, image, first * sh, slab - (rows - count) * sh, top, left, h, wide, c, width)
                    source = address(slabs[unit])
                else:
                    source = address(x) + 4 * ((image * h + first * sh) * wide * c)
                product(
                    source,
                    address(tables[2]) + 8 * begin,
                    address(tables[0]),
                    count * ow,
                    address(g) + 4 * ((image * oh + first) * ow * f),
                    f,
                    1,
                    address(parts[part]),
                    address(crow) + 8 * begin,
                    taps,
                    f,
                    1 if image > part * n // len(parts) or at > 0 else 0,
                )


@Kernel
def _total(out, parts):  # type: ignore[no-untyped-def]
    for k in prange(len(out)):
        value = parts[0, k]
        for p in range(1, len(parts)):
            value += parts[p, k]
        out[k] = value


_SHARE = 4 * ROWS  # of dw: whole tiles, so that none reaches into another unit's rows
_UNITS = 16


@accelerates("conv2d_weight_grad", device="cpu", takes=_takes)
def conv2d_weight_grad(dw: Any, x: Any, g: Any, *, window: Window) -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y.

    The rows of dw are shared out, and where they are few the images too; how, depends on the shapes alone, so
    the bits are the same for any number of threads.
    """
    f = g.shape[3]
    depth = dw.size // f
    at = layout(window, x.shape[1:3], x.shape[3], f)
    share = _SHARE * max(1, depth // (_SHARE * _UNITS))
    shares = -(-depth // share)
    count = min(len(x), max(1, _UNITS // (2 * shares)))
    parts = dw.reshape(1, depth, f) if count == 1 else scratch("parts", count, depth, f)
    slabs = scratch("weights", count * shares, _slab_size(at))
    _weights(g.size * depth, parts, x.reshape(-1), g, len(x), share, multiples(depth, f), at.numbers, *at[1:], slabs)
    if count > 1:
        _total(parts.size, dw.reshape(-1), parts.reshape(count, -1))
