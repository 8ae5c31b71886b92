"""Convolution without im2col: the windows are read where they lie (see `machine.tile`).

Layouts: x (N, H, W, C), w (KH, KW, C, F), y and g (N, OH, OW, F). Work is done a block at a time (see `layout`). Where
the window needs padding, the input of a block is copied with its padding into a slab that stays in the cache; where
a max-pooling follows, the block itself is such a slab, and only the maxima go to memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .. import team
from ..geometry import Window
from .machine.layout import Layout, layout, multiples, pooling
from .machine.memory import clear, copy
from .machine.panels import panels_of, turned
from .machine.prebound import Kernel, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import PANEL, ROWS, address, compiled, product
from .machine.window_ranges import images
from .machine.windows import column_sums, largest, spread
from .reduce import total


@inner
def _fill(
    slab: Any,
    at: Any,
    x: Any,
    image: Any,
    first: Any,
    rows: Any,
    top: Any,
    left: Any,
    h: Any,
    w: Any,
    c: Any,
    width: Any,
) -> None:
    # Copy rows first .. first + rows of the padded image number `image` of x (N*H*W*C) to slab[at:] (rows, width, C).
    inside = min(w, width - left) * c
    for i in range(rows):
        source, to = first + i - top, at + i * width * c
        if source < 0 or source >= h:
            clear(slab, to, width * c)
        else:
            clear(slab, to, left * c)
            copy(slab, to + left * c, x, (image * h + source) * w * c, inside)
            clear(slab, to + left * c + inside, width * c - left * c - inside)


@inner
def _block(unit: Any, n: Any, numbers: Any) -> Any:
    """Return first image, number of images, first row, number of rows of a block, and whether it is a `rest`."""
    oh, rows, group = numbers[4], numbers[10], numbers[13]
    blocks = (oh + rows - 1) // rows
    image, at = unit // blocks * group, unit % blocks
    count = min(group, n - image)
    return image, count, at * rows, min(rows, oh - at * rows), count < group or at * rows + rows > oh


@inner
def _blocks(n: Any, numbers: Any) -> Any:
    return (n + numbers[13] - 1) // numbers[13] * ((numbers[4] + numbers[10] - 1) // numbers[10])


@inner
def _source(slab: Any, x: Any, image: Any, count: Any, first: Any, rows: Any, numbers: Any) -> Any:
    """Return where the input of a block lies: in x, or with its padding in the slab, which is filled here."""
    h, wide, c, _, _, _, sh, _, top, left, most, height, width, _ = numbers
    if height == 0:
        return address(x) + 4 * ((image * h + first * sh) * wide * c)
    for m in range(count):
        lines = height - (most - rows) * sh
        _fill(slab, m * height * width * c, x, image + m, first * sh, lines, top, left, h, wide, c, width)
    return address(slab)


@Kernel
def _forward(  # type: ignore[no-untyped-def]
    worker,
    workers,
    thread,
    code,
    y,
    tap,
    x,
    w,
    b,
    lines,
    bstep,
    n,
    positive,
    numbers,
    pool,
    taps,
    block,
    rest,
    slabs,
    outs,
):
    f, oh, ow = numbers[3], numbers[4], numbers[5]
    number, ph, pw, poh, pow_, tall, _ = pool
    units = _blocks(n, numbers)
    for unit in share(units, worker, workers):
        image, count, first, rows, partly = _block(unit, n, numbers)
        tables = rest if partly else block
        into = address(outs[thread]) if number else address(y) + 4 * ((image * oh + first) * ow * f)
        product(
            code,
            _source(slabs[thread], x, image, count, first, rows, numbers),
            address(tables[0]),
            address(tables[2]),
            address(lines),
            len(tables[2]) - ROWS,
            address(w),
            bstep,
            into,
            address(tables[1]),
            count * rows * ow,
            f,
            0,
            address(b) if len(b) else 0,
            positive,
        )
        if number:
            for m in range(count):
                for i in range((rows - tall) // ph + 1):
                    at = ((image + m) * poh + first // ph + i) * pow_ * f
                    window = into + 4 * (m * oh + i * ph) * ow * f
                    maxima, which = address(y) + 4 * at, address(tap) + at
                    largest(window, pw * f, pow_, address(taps), number, maxima, which, f)


def _real(*arrays: Any) -> bool:
    return all(a.dtype == np.float32 and a.size > 0 for a in arrays)


def takes_images(y: Any, x: Any, w: Any, *, window: Window) -> bool:
    """Accept C-contiguous float32 arrays that are not empty, under a window over two axes."""
    return images(y, x, w, window=window) and _real(y, x, w)


def _slab_size(at: Layout) -> int:
    return int(at.numbers[11] * at.numbers[12] * at.numbers[2] * at.numbers[13]) + 1


def _slabs(at: Layout) -> Any:
    return scratch("slabs", team.size(), _slab_size(at))


def convolved(y: Any, tap: Any, x: Any, w: Any, b: Any, window: Window, activation: str, pool: Window | None) -> None:
    """Compute activation(conv2d(x, w) + b) for a linear or relu `activation`, and its maxima under `pool`, if any."""
    filters = w.shape[3]
    depth = w.size // filters
    at = layout(window, x.shape, filters, steps=1 if pool is None else pool.strides[0])
    inner_size = window.output(x.shape[1:3])
    packed, lines, bstep = panels_of(w, depth, filters)
    pools = pooling(pool, inner_size, filters)
    held = int(at.numbers[10] * at.numbers[5] * at.numbers[3] * at.numbers[13])
    outs = scratch("outs", team.size(), 1 if pool is None else held)
    work = len(x) * inner_size[0] * inner_size[1] * filters * depth
    positive = int(activation == "relu")
    flat = y.reshape(-1), tap.reshape(-1), x.reshape(-1), packed, b
    _forward(work, compiled(), *flat, lines, bstep, len(x), positive, at.numbers, *pools, *at[1:], _slabs(at), outs)


@Kernel
def _backward(  # type: ignore[no-untyped-def]
    worker, workers, thread, code, dx, g, w, n, kernel, dilation, numbers, block, rest, channels, lines, slabs
):
    # Every tap adds g (N, OH, OW, F) times its filters (F, C) to the pixels of dx that it looked at. A unit owns
    # the columns of one panel of channels of some images.
    h, wide, c, f, oh, ow, _, _, top, left, _, height, width, _ = numbers
    panels, panel = w.shape[1], w.shape[3]
    units = _blocks(n, numbers) * panels
    for unit in share(units, worker, workers):
        image, count, _, _, partly = _block(unit // panels, n, numbers)
        p = unit % panels
        tables = rest if partly else block
        columns, start = min(c - p * panel, panel), image * h * wide * c + p * panel
        if height:
            into = address(slabs[thread]) + 4 * p * panel
            for pixel in range(count * height * width):
                clear(slabs[thread], pixel * c + p * panel, columns)
        else:
            into = address(dx) + 4 * start
            for pixel in range(count * h * wide):
                clear(dx, start + pixel * c, columns)
        for a in range(kernel[0]):
            for b in range(kernel[1]):
                product(
                    code,
                    address(g) + 4 * image * oh * ow * f,
                    address(tables[1]),
                    address(channels),
                    address(lines),
                    f,
                    address(w) + 4 * ((a * kernel[1] + b) * panels + p) * f * panel,
                    1,
                    into + 4 * (a * dilation[0] * width + b * dilation[1]) * c,
                    address(tables[0]),
                    count * oh * ow,
                    columns,
                    1,
                    0,
                    0,
                )
        if height:
            for m in range(count):
                for i in range(h):
                    for j in range(wide):
                        to = start + ((m * h + i) * wide + j) * c
                        if i + top < height and j + left < width:
                            pixel = (m * height + i + top) * width + j + left
                            copy(dx, to, slabs[thread], pixel * c + p * panel, columns)
                        else:
                            clear(dx, to, columns)


def spread_back(dx: Any, g: Any, w: Any, window: Window) -> None:
    """Compute the gradient of `conv2d` with respect to x from that of y: every tap adds its share."""
    taps, (c, f) = window.taps, w.shape[2:]
    at = layout(window, dx.shape, f, whole=True)
    packed = scratch("turned", taps, -(-c // PANEL), f, PANEL)
    turned(w.size, packed, w.reshape(taps, c, f))
    tables = *at[1:], multiples(f, 1), multiples(f, PANEL)
    flat = dx.reshape(-1), g, packed, len(g)
    _backward(g.size * taps * c, compiled(), *flat, window.kernel, window.dilation, at.numbers, *tables, _slabs(at))


@Kernel
def _weights(  # type: ignore[no-untyped-def]
    worker,
    workers,
    thread,
    code,
    parts,
    sums,
    x,
    g,
    tap,
    y,
    n,
    wide,
    crow,
    lines,
    numbers,
    pool,
    taps,
    block,
    slabs,
    held,
):
    # parts (P, K, F): each the sum over its images; row k of a tile is a tap and channel, the steps are pixels.
    # Below a max-pooling, g and tap (N, POH, POW, F) are spread into `held` first, and the pixels of each image summed.
    f, oh, ow, most, group = numbers[3], numbers[4], numbers[5], numbers[10], numbers[13]
    number, ph, pw, poh, pow_, tall, gaps = pool
    depth = parts.shape[1]
    shares = (depth + wide - 1) // wide
    units = len(parts) * shares
    if gaps:
        clear(held[thread], 0, held.shape[1])
    for unit in share(units, worker, workers):
        part, begin = unit // shares, unit % shares * wide
        low, high = part * n // len(parts), (part + 1) * n // len(parts)
        for image in range(low, high, group):
            count = min(group, high - image)
            for first in range(0, oh, most):
                rows = min(most, oh - first)
                right = address(g) + 4 * ((image * oh + first) * ow * f)
                if number:
                    right = address(held[thread])
                    for m in range(count):
                        for i in range((rows - tall) // ph + 1):
                            at = ((image + m) * poh + first // ph + i) * pow_ * f
                            after = address(y) + 4 * at if len(y) else 0
                            window = right + 4 * (m * oh + i * ph) * ow * f
                            maxima, which = address(g) + 4 * at, address(tap) + at
                            spread(window, pw * f, pow_, address(taps), number, maxima, which, after, f)
                        if rows < most:  # rows that no window looks at hold what the block before has left
                            below = (rows - tall) // ph * ph + ph
                            clear(held[thread], below * ow * f, max(rows - below, 0) * ow * f)
                        pixels = right + 4 * m * oh * ow * f
                        column_sums(pixels, rows * ow, f, f, address(sums) + 8 * (image + m) * f, 1 if first else 0)
                product(
                    code,
                    _source(slabs[thread], x, image, count, first, rows, numbers),
                    address(block[2]) + 8 * begin,
                    address(block[0]),
                    address(lines),
                    count * rows * ow,
                    right,
                    1,
                    address(parts[part]),
                    address(crow) + 8 * begin,
                    min(wide, depth - begin),
                    f,
                    1 if image > low or first else 0,
                    0,
                    0,
                )


_UNITS = 16  # of work, where there are images enough
_SUMS = 1 << 16  # floats of dw that a unit computes: 256 KiB, that stay in the second-level cache
_STEPS = 128  # pixels that a tile sums before its sums go to memory: their gradients stay in the first-level cache
_PIXELS = 1024  # at least for a part, so that its sums are not most of the work


def _parts_and_share(window: Window, shape: Any, depth: int, filters: int) -> tuple[int, int]:
    """Return into how many parts the images are shared out, and how many rows of dw one unit of work computes."""
    oh, ow = replace(window, crop=()).output(shape[1:3])  # the same sums, whatever is left out
    least = -(-depth * filters // _SUMS)
    parts = max(1, min(shape[0], _UNITS // least, shape[0] * oh * ow // _PIXELS))
    shares = max(least, _UNITS // parts)
    return parts, -(-depth // (shares * ROWS)) * ROWS  # whole tiles, so that none reaches into another unit's rows


def undivided(window: Window, shape: Any, depth: int, filters: int) -> bool:
    """Tell whether a unit of work computes all rows of dw, and so has to look at the gradient only once."""
    return _parts_and_share(window, shape, depth, filters)[1] >= depth


def weighed(dw: Any, db: Any, x: Any, g: Any, tap: Any, y: Any, window: Window, pool: Window | None) -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y.

    The rows of dw are shared out, and where they are few the images too; how, depends on their numbers alone, so
    the bits are the same for any number of threads, and with or without a pooling. With `pool`, g and its taps
    `tap` belong to the maxima of a max-pooling, and db, the gradient of the bias, is computed as well; y, if it is not
    empty, are these maxima after a ReLU, whose gradient comes first.
    """
    f = g.shape[3]
    depth = dw.size // f
    size = window.output(x.shape[1:3])
    at = layout(window, x.shape, f, pixels=_STEPS, steps=1 if pool is None else pool.strides[0])
    count, rows = _parts_and_share(window, x.shape, depth, f)
    group, pixels = int(at.numbers[13]), int(at.numbers[10] * size[1])
    parts = dw.reshape(1, depth, f) if count == 1 else scratch("parts", count, depth, f)
    held = scratch("spread", team.size(), 1 if pool is None else group * pixels * f)
    sums = scratch("sums", *((1, 1) if pool is None else (len(x), f)), dtype=np.float64)
    tables = multiples(depth, f), multiples(group * pixels, f), at.numbers, *pooling(pool, size, f), at.block
    flat = parts, sums, x.reshape(-1), g.reshape(-1), tap.reshape(-1), y.reshape(-1)
    _weights(len(x) * size[0] * size[1] * f * depth, compiled(), *flat, len(x), rows, *tables, _slabs(at), held)
    if count > 1:
        total(parts.size, dw.reshape(-1), parts.reshape(count, -1))
    if pool is not None:
        total(sums.size, db, sums)
