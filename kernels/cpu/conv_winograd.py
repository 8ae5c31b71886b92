"""3 x 3 convolutions with four ninths of the multiplications: Winograd's F(2x2, 3x3).

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016. A tile is a square of 2 x 2 output
pixels; the 4 x 4 input pixels that it depends on, the filters and its gradient are transformed to 16 positions, in
each of which the convolution is one matrix product (see `machine.winograd_transform` for the transforms). Tiles are
numbered through all images, row by row, and processed in blocks that fit the cache.

Layouts: x (N, H, W, C), w (3, 3, C, F), y and g (N, OH, OW, F); tiles of a block (16, T, C) and (16, T, F).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from numpy import ndarray

from .. import team
from ..geometry import Ints, Window
from .machine.layout import multiples
from .machine.memory import add, clear, copy
from .machine.panels import turned
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import PANEL, ROWS, Left, Result, Right, address, compiled, product
from .machine.window_ranges import Slide, slide
from .machine.winograd_transform import Square, from_input, from_output, to_filter, to_input, to_maxima, to_output

POSITIONS = 16
_TILES = 12288  # floats of one position of a block, inputs and outputs together


class Tiles(NamedTuple):
    """How the output of a convolution is cut into tiles.

    Attributes:
        slide: how its window slides over its images.
        filters: number of output channels.
        down, across: number of tiles in a column and in a row of an image.
        block_size: number of tiles of a block.
        pixels: offset of each tile of a block in (T, C), in floats.
        outputs: offset of each tile in (T, F).
        channel_steps: offsets of the steps along C.
        filter_steps: offsets of the steps along F.
    """

    slide: Slide
    filters: int
    down: int
    across: int
    block_size: int
    pixels: ndarray
    outputs: ndarray
    channel_steps: ndarray
    filter_steps: ndarray


class Buffers(NamedTuple):
    """Scratch memory, one row per thread: inputs (16, T, C) and outputs (16, T, F) of a block, a patch of pixels."""

    inputs: ndarray
    outputs: ndarray
    patches: ndarray


class Epilogue(NamedTuple):
    """What is applied to the values of a tile before they are written to memory.

    Attributes:
        bias: (F,), or empty for none.
        positive: 1 for a ReLU, else 0.
        pooled: 1 where only the maximum of each tile is written, else 0.
        argmax: the taps of these maxima.
    """

    bias: ndarray
    positive: int
    pooled: int
    argmax: ndarray


@lru_cache(maxsize=512)
def tiles_of(window: Window, shape: Ints, filters: int) -> Tiles:
    """Return the tiles of a convolution over images of `shape` (N, H, W, C)."""
    s = slide(window, shape)
    down, across = -(-s.oh // 2), -(-s.ow // 2)
    count = max(ROWS, min(_TILES // (s.c + filters), s.n * down * across) // ROWS * ROWS)
    rows = multiples(count, s.c), multiples(count, filters)
    return Tiles(s, filters, down, across, count, *rows, multiples(s.c, 1), multiples(filters, 1))


@inner
def _place(tile: int, at: Tiles) -> tuple[int, int, int]:
    """Return the image of a tile, and the row and column of its first output pixel."""
    return tile // (at.down * at.across), tile % (at.down * at.across) // at.across * 2, tile % at.across * 2


@inner
def transform_input(x: ndarray, tile: int, patch: ndarray, v: ndarray, k: int, at: Tiles) -> None:
    """Transform the input pixels of a tile, zero outside the image, into entry `k` of v (16, T, C)."""
    h, wide, c, count = at.slide.h, at.slide.w, at.slide.c, at.block_size
    image, i, j = _place(tile, at)
    y0, x0 = i - at.slide.top, j - at.slide.left
    source, row = address(x) + 4 * ((image * h + y0) * wide + x0) * c, wide * c
    if y0 < 0 or x0 < 0 or y0 + 4 > h or x0 + 4 > wide:
        source, row = address(patch), 4 * c
        for a in range(4):
            for b in range(4):
                if 0 <= y0 + a < h and 0 <= x0 + b < wide:
                    copy(patch, (a * 4 + b) * c, x, ((image * h + y0 + a) * wide + x0 + b) * c, c)
                else:
                    clear(patch, (a * 4 + b) * c, c)
    to_input(Square(source, row, c), Square(address(v) + 4 * k * c, 4 * count * c, count * c), 0, 0, 0, c)


@inner
def transform_gradient(g: ndarray, tile: int, patch: ndarray, m: ndarray, k: int, at: Tiles) -> None:
    """Transform the gradient of a tile, zero outside the image, into entry `k` of m (16, T, F)."""
    f, oh, ow, count = at.filters, at.slide.oh, at.slide.ow, at.block_size
    image, i, j = _place(tile, at)
    source, row = address(g) + 4 * ((image * oh + i) * ow + j) * f, ow * f
    if i + 2 > oh or j + 2 > ow:
        source, row = address(patch), 2 * f
        for a in range(2):
            for b in range(2):
                if i + a < oh and j + b < ow:
                    copy(patch, (a * 2 + b) * f, g, ((image * oh + i + a) * ow + j + b) * f, f)
                else:
                    clear(patch, (a * 2 + b) * f, f)
    from_output(Square(source, row, f), Square(address(m) + 4 * k * f, 4 * count * f, count * f), 0, 0, 0, f)


@ParallelLoop
def _filters(worker, workers, u, w):  # type: ignore[no-untyped-def]
    # w (3, 3, C, F) -> u (16, panels of F, C, PANEL)
    _, panels, c, wide = u.shape
    f = w.shape[3]
    for k in share(c, worker, workers):
        for p in range(panels):
            columns = min(f - p * wide, wide)
            apart = panels * c * wide
            to = Square(address(u) + 4 * (p * c + k) * wide, 4 * apart, apart)
            to_filter(Square(address(w) + 4 * (k * f + p * wide), 3 * c * f, c * f), to, 0, 0, 0, columns)


@ParallelLoop
def _forward(worker, workers, thread, tiles, y, x, right, after, at, buffers):  # type: ignore[no-untyped-def]
    s, f, count = at.slide, at.filters, at.block_size
    c, oh, ow = s.c, s.oh, s.ow
    v, m, patch = buffers.inputs[thread], buffers.outputs[thread], buffers.patches[thread]
    total = s.n * at.down * at.across
    for block in share((total + count - 1) // count, worker, workers):
        begin, here = block * count, min(count, total - block * count)
        for k in range(here):
            transform_input(x, begin + k, patch, v, k, at)
        for position in range(POSITIONS):
            product(
                tiles,
                Left(address(v) + 4 * position * count * c, address(at.pixels), address(at.channel_steps)),
                Right(address(right.data[position]), address(right.row_offsets), right.panel_stride),
                Result(address(m) + 4 * position * count * f, address(at.outputs)),
                c,
                here,
                f,
                0,
                0,
                0,
            )
        bias = address(after.bias) if len(after.bias) else 0
        for k in range(here):
            image, i, j = _place(begin + k, at)
            source = Square(address(m) + 4 * k * f, 4 * count * f, count * f)
            if after.pooled:
                to = (begin + k) * f
                to_maxima(source, address(y) + 4 * to, address(after.argmax) + to, bias, after.positive, f)
                continue
            to = ((image * oh + i) * ow + j) * f
            whole = i + 2 <= oh and j + 2 <= ow
            into, row = (address(y) + 4 * to, ow * f) if whole else (address(patch), 2 * f)
            to_output(source, Square(into, row, f), 0, bias, after.positive, f)
            if not whole:
                for a in range(min(2, oh - i)):
                    copy(y, to + a * ow * f, patch, 2 * a * f, min(2, ow - j) * f)


def buffers(at: Tiles) -> Buffers:
    """Return the scratch memory of all threads."""
    c, f = at.slide.c, at.filters
    sizes = POSITIONS * at.block_size * c, POSITIONS * at.block_size * f, 16 * max(c, f)
    return Buffers(*(scratch(team.size(), size) for size in sizes))


def _transformed(w: ndarray) -> ndarray:
    c, f = w.shape[2:]
    u = scratch(POSITIONS, -(-f // PANEL), c, PANEL)
    _filters(w.size, u, w)
    return u


def convolve(
    y: ndarray, argmax: ndarray, x: ndarray, w: ndarray, b: ndarray, window: Window, activation: str, pooled: bool
) -> None:
    """Compute activation(conv2d(x, w) + b) for a linear or relu `activation`; with `pooled` the maxima of its tiles."""
    c, f = w.shape[2:]
    at = tiles_of(window, x.shape, f)
    after = Epilogue(b, int(activation == "relu"), int(pooled), argmax.reshape(-1))
    right = Right(_transformed(w), multiples(c, PANEL), c)
    _forward(y.size * c * 4, compiled(), y.reshape(-1), x.reshape(-1), right, after, at, buffers(at))


@ParallelLoop
def _backward(worker, workers, thread, tiles, dx, g, right, at, buffers):  # type: ignore[no-untyped-def]
    # a unit of work has whole images, since tiles share pixels
    s, f, count = at.slide, at.filters, at.block_size
    h, wide, c = s.h, s.w, s.c
    v, m, patch = buffers.inputs[thread], buffers.outputs[thread], buffers.patches[thread]
    per = at.down * at.across
    mine = share(s.n, worker, workers)
    low, high = mine.start, mine.stop
    clear(dx, low * h * wide * c, (high - low) * h * wide * c)
    for begin in range(low * per, high * per, count):
        here = min(count, high * per - begin)
        for k in range(here):
            transform_gradient(g, begin + k, patch, m, k, at)
        for position in range(POSITIONS):
            product(
                tiles,
                Left(address(m) + 4 * position * count * f, address(at.outputs), address(at.filter_steps)),
                Right(address(right.data[position]), address(right.row_offsets), right.panel_stride),
                Result(address(v) + 4 * position * count * c, address(at.pixels)),
                f,
                here,
                c,
                0,
                0,
                0,
            )
        for k in range(here):
            image, i, j = _place(begin + k, at)
            y0, x0 = i - s.top, j - s.left
            source = Square(address(v) + 4 * k * c, 4 * count * c, count * c)
            if y0 >= 0 and x0 >= 0 and y0 + 4 <= h and x0 + 4 <= wide:
                to = address(dx) + 4 * ((image * h + y0) * wide + x0) * c
                from_input(source, Square(to, wide * c, c), 1, 0, 0, c)
                continue
            from_input(source, Square(address(patch), 4 * c, c), 0, 0, 0, c)
            for a in range(4):
                for b in range(4):
                    if 0 <= y0 + a < h and 0 <= x0 + b < wide:
                        to = ((image * h + y0 + a) * wide + x0 + b) * c
                        add(dx, to, patch, (a * 4 + b) * c, c)


def input_grad(dx: ndarray, g: ndarray, w: ndarray, window: Window) -> None:
    """Compute the gradient of `conv2d` with respect to x from that of y."""
    c, f = w.shape[2:]
    at = tiles_of(window, dx.shape, f)
    plain = scratch(POSITIONS, 1, c, f)
    _filters(w.size, plain, w)
    u = scratch(POSITIONS, -(-c // PANEL), f, PANEL)
    turned(plain.size, u, plain.reshape(POSITIONS, c, f))
    right = Right(u, multiples(f, PANEL), f)
    _backward(g.size * c * 4, compiled(), dx.reshape(-1), g.reshape(-1), right, at, buffers(at))
