"""3 x 3 convolutions with four ninths of the multiplications: Winograd's F(2x2, 3x3).

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016. A tile is a square of 2 x 2 output
pixels; the 4 x 4 input pixels that it looks at, the filters and its gradient are brought into a space of 16 positions,
in which the convolution is one matrix product a position (see `machine.winograd_transform` for the way there and back).
Tiles are counted through all images, row by row, and a block of them is worked on in the cache.

Layouts: x (N, H, W, C), w (3, 3, C, F), y and g (N, OH, OW, F); tiles of a block (16, T, C) and (16, T, F).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import team
from ..geometry import Ints, Window
from .machine.layout import multiples
from .machine.memory import add, clear, copy
from .machine.panels import turned
from .machine.prebound import Kernel, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import PANEL, ROWS, address, compiled, product
from .machine.winograd_transform import from_filter, from_input, from_output, to_filter, to_input, to_maxima, to_output

_POSITIONS = 16
_TILES = 12288  # floats of one position of a block, in both spaces
_PARTS = 1 << 21  # floats of all partial sums of a weight gradient: 8 MiB
_UNITS = 16


class Tiles(NamedTuple):
    """How the output of a convolution is cut into tiles.

    Attributes:
        numbers: N, H, W, C, F, OH, OW, top, left, tiles in a column and in a row of an image, tiles of a block.
        pixels: where each tile of a block begins in (T, C), counted in floats.
        outputs: where each begins in (T, F).
        channels: the steps along C.
        filters: the steps along F.
    """

    numbers: Any
    pixels: Any
    outputs: Any
    channels: Any
    filters: Any


@lru_cache(maxsize=512)
def tiles(window: Window, shape: Ints, filters: int) -> Tiles:
    """Return the tiles of a convolution over images of `shape` (N, H, W, C)."""
    n, h, w, c = shape
    oh, ow = window.output((h, w))
    (top, _), (left, _) = window.pads((h, w))
    down, across = -(-oh // 2), -(-ow // 2)
    count = max(ROWS, min(_TILES // (c + filters), n * down * across) // ROWS * ROWS)
    return Tiles(
        np.array((n, h, w, c, filters, oh, ow, top, left, down, across, count), np.int64),
        multiples(count, c),
        multiples(count, filters),
        multiples(c, 1),
        multiples(filters, 1),
    )


@inner
def _place(tile: Any, numbers: Any) -> Any:
    """Return the image, and the row and column of its output, at which a tile begins."""
    down, across = numbers[9], numbers[10]
    return tile // (down * across), tile % (down * across) // across * 2, tile % across * 2


@inner
def _bring(x: Any, tile: Any, patch: Any, v: Any, k: Any, numbers: Any) -> None:
    # The input pixels of a tile, with zeros where they lie outside, go to number k of v (16, T, C)
    _, h, wide, c, _, _, _, top, left, _, _, count = numbers
    image, i, j = _place(tile, numbers)
    y0, x0 = i - top, j - left
    source, row = address(x) + 4 * ((image * h + y0) * wide + x0) * c, wide * c
    if y0 < 0 or x0 < 0 or y0 + 4 > h or x0 + 4 > wide:
        source, row = address(patch), 4 * c
        for a in range(4):
            for b in range(4):
                if 0 <= y0 + a < h and 0 <= x0 + b < wide:
                    copy(patch, (a * 4 + b) * c, x, ((image * h + y0 + a) * wide + x0 + b) * c, c)
                else:
                    clear(patch, (a * 4 + b) * c, c)
    to_input(source, row, c, address(v) + 4 * k * c, 4 * count * c, count * c, 0, 0, 0, c)


@inner
def _bring_gradient(g: Any, tile: Any, patch: Any, m: Any, k: Any, numbers: Any) -> None:
    # The gradient of a tile, with zeros where it lies outside, goes to number k of m (16, T, F)
    _, _, _, _, f, oh, ow, _, _, _, _, count = numbers
    image, i, j = _place(tile, numbers)
    source, row = address(g) + 4 * ((image * oh + i) * ow + j) * f, ow * f
    if i + 2 > oh or j + 2 > ow:
        source, row = address(patch), 2 * f
        for a in range(2):
            for b in range(2):
                if i + a < oh and j + b < ow:
                    copy(patch, (a * 2 + b) * f, g, ((image * oh + i + a) * ow + j + b) * f, f)
                else:
                    clear(patch, (a * 2 + b) * f, f)
    from_output(source, row, f, address(m) + 4 * k * f, 4 * count * f, count * f, 0, 0, 0, f)


@Kernel
def _filters(worker, workers, u, w):  # type: ignore[no-untyped-def]
    # w (3, 3, C, F) -> u (16, panels of F, C, PANEL)
    _, panels, c, wide = u.shape
    f = w.shape[3]
    for k in share(c, worker, workers):
        for p in range(panels):
            columns = min(f - p * wide, wide)
            to = address(u) + 4 * (p * c + k) * wide
            apart = panels * c * wide
            to_filter(address(w) + 4 * (k * f + p * wide), 3 * c * f, c * f, to, 4 * apart, apart, 0, 0, 0, columns)


@Kernel
def _forward(  # type: ignore[no-untyped-def]
    worker,
    workers,
    thread,
    code,
    y,
    tap,
    x,
    u,
    b,
    lines,
    positive,
    pooled,
    numbers,
    pixels,
    outputs,
    channels,
    v,
    m,
    patches,
):
    n, _, _, c, f, oh, ow, _, _, down, across, count = numbers
    total = n * down * across
    blocks = (total + count - 1) // count
    for block in share(blocks, worker, workers):
        first, here = block * count, min(count, total - block * count)
        for k in range(here):
            _bring(x, first + k, patches[thread], v[thread], k, numbers)
        for at in range(_POSITIONS):
            product(
                code,
                address(v[thread]) + 4 * at * count * c,
                address(pixels),
                address(channels),
                address(lines),
                c,
                address(u[at]),
                c,
                address(m[thread]) + 4 * at * count * f,
                address(outputs),
                here,
                f,
                0,
                0,
                0,
            )
        bias = address(b) if len(b) else 0
        for k in range(here):
            image, i, j = _place(first + k, numbers)
            source = address(m[thread]) + 4 * k * f
            if pooled:
                to = (first + k) * f
                to_maxima(source, 4 * count * f, count * f, address(y) + 4 * to, address(tap) + to, bias, positive, f)
                continue
            to = ((image * oh + i) * ow + j) * f
            whole = i + 2 <= oh and j + 2 <= ow
            into, row = (address(y) + 4 * to, ow * f) if whole else (address(patches[thread]), 2 * f)
            to_output(source, 4 * count * f, count * f, into, row, f, 0, bias, positive, f)
            if not whole:
                for a in range(min(2, oh - i)):
                    copy(y, to + a * ow * f, patches[thread], 2 * a * f, min(2, ow - j) * f)


def _scratches(at: Tiles, units: int) -> tuple[Any, ...]:
    _, _, _, c, f, _, _, _, _, _, _, count = (int(v) for v in at.numbers)
    sizes = (_POSITIONS * count * c, _POSITIONS * count * f, 16 * max(c, f))
    return tuple(scratch(name, units, s) for name, s in zip(("inputs", "outputs", "patches"), sizes, strict=True))


def _transformed(w: Any) -> Any:
    c, f = w.shape[2:]
    u = scratch("filters", _POSITIONS, -(-f // PANEL), c, PANEL)
    _filters(w.size, u, w)
    return u


def convolved(y: Any, tap: Any, x: Any, w: Any, b: Any, window: Window, activation: str, pooled: bool) -> None:
    """Compute activation(conv2d(x, w) + b) for a linear or relu `activation`; with `pooled` the maxima of its tiles."""
    c, f = w.shape[2:]
    at = tiles(window, x.shape, f)
    tables = at.numbers, at.pixels, at.outputs, at.channels
    flat = y.reshape(-1), tap.reshape(-1), x.reshape(-1), _transformed(w), b, multiples(c, PANEL)
    flags = int(activation == "relu"), int(pooled)
    _forward(y.size * c * 4, compiled(), *flat, *flags, *tables, *_scratches(at, team.size()))


@Kernel
def _backward(worker, workers, thread, code, dx, g, u, lines, numbers, pixels, outputs, filters, v, m, patches):  # type: ignore[no-untyped-def]
    # u (16, panels of C, F, PANEL); a unit owns its images, whose pixels tiles share
    n, h, wide, c, f, _, _, top, left, down, across, count = numbers
    per = down * across
    mine = share(n, worker, workers)
    low, high = mine.start, mine.stop
    clear(dx, low * h * wide * c, (high - low) * h * wide * c)
    for first in range(low * per, high * per, count):
        here = min(count, high * per - first)
        for k in range(here):
            _bring_gradient(g, first + k, patches[thread], m[thread], k, numbers)
        for at in range(_POSITIONS):
            product(
                code,
                address(m[thread]) + 4 * at * count * f,
                address(outputs),
                address(filters),
                address(lines),
                f,
                address(u[at]),
                f,
                address(v[thread]) + 4 * at * count * c,
                address(pixels),
                here,
                c,
                0,
                0,
                0,
            )
        for k in range(here):
            image, i, j = _place(first + k, numbers)
            y0, x0, source = i - top, j - left, address(v[thread]) + 4 * k * c
            if y0 >= 0 and x0 >= 0 and y0 + 4 <= h and x0 + 4 <= wide:
                to = address(dx) + 4 * ((image * h + y0) * wide + x0) * c
                from_input(source, 4 * count * c, count * c, to, wide * c, c, 1, 0, 0, c)
                continue
            from_input(source, 4 * count * c, count * c, address(patches[thread]), 4 * c, c, 0, 0, 0, c)
            for a in range(4):
                for b in range(4):
                    if 0 <= y0 + a < h and 0 <= x0 + b < wide:
                        to = ((image * h + y0 + a) * wide + x0 + b) * c
                        add(dx, to, patches[thread], (a * 4 + b) * c, c)


def spread_back(dx: Any, g: Any, w: Any, window: Window) -> None:
    """Compute the gradient of `conv2d` with respect to x from that of y."""
    c, f = w.shape[2:]
    at = tiles(window, dx.shape, f)
    plain = scratch("plain filters", _POSITIONS, 1, c, f)
    _filters(w.size, plain, w)
    u = scratch("turned filters", _POSITIONS, -(-c // PANEL), f, PANEL)
    turned(plain.size, u, plain.reshape(_POSITIONS, c, f))
    tables = multiples(f, PANEL), at.numbers, at.pixels, at.outputs, at.filters
    _backward(g.size * c * 4, compiled(), dx.reshape(-1), g.reshape(-1), u, *tables, *_scratches(at, team.size()))


@Kernel
def _weights(worker, workers, thread, code, parts, x, g, lines, steps, rows, crow, wide, numbers, v, m, patches):  # type: ignore[no-untyped-def]
    # parts (P, 16, C, F): each the sum over its images; a unit computes `wide` channels of one part
    n, _, _, c, f, _, _, _, _, down, across, count = numbers
    per, shares = down * across, (c + wide - 1) // wide
    units = len(parts) * shares
    for unit in share(units, worker, workers):
        part, begin = unit // shares, unit % shares * wide
        low, high = part * n // len(parts) * per, (part + 1) * n // len(parts) * per
        for first in range(low, high, count):
            here = min(count, high - first)
            for k in range(here):
                _bring(x, first + k, patches[thread], v[thread], k, numbers)
                _bring_gradient(g, first + k, patches[thread], m[thread], k, numbers)
            for at in range(_POSITIONS):
                product(
                    code,
                    address(v[thread]) + 4 * at * count * c,
                    address(rows) + 8 * begin,
                    address(steps),
                    address(lines),
                    here,
                    address(m[thread]) + 4 * at * count * f,
                    1,
                    address(parts[part]) + 4 * at * c * f,
                    address(crow) + 8 * begin,
                    min(wide, c - begin),
                    f,
                    1 if first > low else 0,
                    0,
                    0,
                )


@Kernel
def _back(worker, workers, dw, parts):  # type: ignore[no-untyped-def]
    # parts (P, 16, C, F) are added up in the first, and brought back to dw (3, 3, C, F)
    _, _, c, f = parts.shape
    for k in share(c, worker, workers):
        for at in range(_POSITIONS):
            for p in range(1, len(parts)):
                for v in range(f):
                    parts[0, at, k, v] += parts[p, at, k, v]
        from_filter(address(parts) + 4 * k * f, 4 * c * f, c * f, address(dw) + 4 * k * f, 3 * c * f, c * f, 0, 0, 0, f)


def weighed(dw: Any, x: Any, g: Any, window: Window) -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y.

    How images and channels are shared out depends on the shapes alone, so the bits do not depend on the threads.
    """
    c, f = dw.shape[2:]
    at = tiles(window, x.shape, f)
    size = _POSITIONS * c * f
    count = max(1, min(len(x), _UNITS, _PARTS // size))
    wide = -(-c // (max(1, _UNITS // (2 * count)) * ROWS)) * ROWS
    parts = scratch("winograd parts", count, _POSITIONS, c, f)
    tables = multiples(int(at.numbers[11]), f), at.pixels, at.channels, multiples(c, f)
    inputs = x.reshape(-1), g.reshape(-1)
    _weights(g.size * c * 4, compiled(), parts, *inputs, *tables, wide, at.numbers, *_scratches(at, team.size()))
    _back(parts.size, dw, parts)
