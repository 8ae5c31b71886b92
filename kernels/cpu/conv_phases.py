"""The gradient of a convolution with respect to its input, as convolutions of the gradient of its output.

Layouts: dx (N, H, W, C), w (KH, KW, C, F), g (N, OH, OW, F). A pixel of dx is a sum over the taps that read it. With a
stride of s these are the same for every s-th row and column: a *phase*. The pixels of a phase are the product of
windows of g and the filters of its taps. So no zeros between the pixels of g are multiplied, and each pixel of dx is
written once, with a bias and a ReLU if they follow. A block of g is copied with zeros around it into a slab, which
stays in the cache while all phases read it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import team
from ..geometry import Ints, Window
from .machine import layout
from .machine.layout import table, together
from .machine.memory import clear, copy
from .machine.panels import turned
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import PANEL, Left, Result, Right, address, compiled, product
from .machine.window_ranges import Slide, slide


class Pixels(NamedTuple):
    """The pixels of dx that the phases of each block compute, for a number of images.

    Attributes:
        starts: for each block and phase, where its pixels begin in the tables.
        counts: how many they are.
        windows: offset of the window of each pixel in the slab, in floats.
        outputs: offset of each pixel from the first of the images.
    """

    starts: ndarray
    counts: ndarray
    windows: ndarray
    outputs: ndarray


class Phases(NamedTuple):
    """How dx is divided into blocks and phases.

    Attributes:
        slide: how the window of the convolution slides.
        filters: F.
        images: images of a group, which has one block together if `blocks` is 1.
        blocks: blocks of an image.
        rows: rows of g from the first of a block to that of the next.
        first: the row and column of g at the corner of the slab of the first block.
        slab: rows and columns of a slab.
        group, single: the pixels of a group of images, and of one image.
        ends: where the steps of each phase begin, and where the last ends.
        steps: offset of each tap and filter of a phase in a window.
        weights: offset of the same in the packed filters.
    """

    slide: Slide
    filters: int
    images: int
    blocks: int
    rows: int
    first: tuple[int, int]
    slab: tuple[int, int]
    group: Pixels
    single: Pixels
    ends: ndarray
    steps: ndarray
    weights: ndarray


class Filters(NamedTuple):
    """The filters, as panels, and what is applied to the sums: a bias, or an empty array, and a ReLU if `positive`."""

    packed: ndarray
    bias: ndarray
    positive: int


@lru_cache(maxsize=256)
def phases(window: Window, shape: Ints, filters: int) -> Phases:
    """Return the phases of the gradient of a convolution of `shape` (N, H, W, C)."""
    s = slide(window, shape)
    up, left = (s.kh - 1) * s.dh // s.sh, (s.kw - 1) * s.dw // s.sw
    low, high = s.top // s.sh, (s.h - 1 + s.top) // s.sh + 1
    begin, end = s.left // s.sw, (s.w - 1 + s.left) // s.sw + 1
    width = end - begin + left
    line = max(width * filters, s.sh * s.w * s.c)
    rows = min(high - low, max(1, layout.BLOCK_FLOATS // line))
    blocks = -(-(high - low) // rows)
    images = together(s.h * s.w, min(s.n, max(1, layout.BLOCK_FLOATS // (rows * line)))) if blocks == 1 else 1
    slab = rows + up, width
    ends, steps, weights = [0], [], []
    panels = -(-s.c // PANEL)
    for p in range(s.sh):
        for q in range(s.sw):
            taps = [(a, b) for a in range(s.kh) for b in range(s.kw) if (a * s.dh % s.sh, b * s.dw % s.sw) == (p, q)]
            for a, b in taps:
                back = a * s.dh // s.sh * width + b * s.dw // s.sw
                steps.append(np.arange(filters) - back * filters)
                weights.append(((a * s.kw + b) * panels * filters + np.arange(filters)) * PANEL)
            ends.append(ends[-1] + len(taps) * filters)

    def pixels(count: int) -> Pixels:
        starts, counts = [], []
        windows: list[ndarray] = []
        outputs: list[ndarray] = []
        for block in range(blocks):
            for p in range(s.sh):
                for q in range(s.sw):
                    top = low + block * rows
                    t = [t for t in range(top, min(top + rows, high)) if 0 <= t * s.sh + p - s.top < s.h]
                    u = [u for u in range(begin, end) if 0 <= u * s.sw + q - s.left < s.w]
                    m, i, j = np.meshgrid(np.arange(count), t, u, indexing="ij")
                    starts.append(sum(len(one) for one in windows))
                    counts.append(m.size)
                    if m.size:
                        y, x = i * s.sh + p - s.top, j * s.sw + q - s.left
                        window = (m * slab[0] + i - top + up) * width + j - begin + left
                        windows.append(table(window * filters))
                        outputs.append(table(((m * s.h + y) * s.w + x) * s.c))
        at, how_many = np.array(starts, np.int64), np.array(counts, np.int64)
        return Pixels(at, how_many, np.concatenate(windows), np.concatenate(outputs))

    flat = (np.concatenate(a).astype(np.int64) for a in (steps, weights))
    first = low - up, begin - left
    return Phases(
        s, filters, images, blocks, rows, first, slab, pixels(images), pixels(1), np.array(ends, np.int64), *flat
    )


@inner
def _fill(slab: ndarray, at: int, g: ndarray, image: int, first: int, it: Phases) -> None:
    # Copy rows of image `image` of g (N*OH*OW*F), from row `first` on, to slab[at:], with zeros around the image.
    s, f, (height, width), left = it.slide, it.filters, it.slab, it.first[1]
    begin = max(0, -left)
    inside = max(0, min(width, s.ow - left) - begin)
    for i in range(height):
        row, to = first + i, at + i * width * f
        if row < 0 or row >= s.oh:
            clear(slab, to, width * f)
        else:
            clear(slab, to, begin * f)
            copy(slab, to + begin * f, g, ((image * s.oh + row) * s.ow + left + begin) * f, inside * f)
            clear(slab, to + (begin + inside) * f, (width - begin - inside) * f)


@ParallelLoop
def _phases(worker, workers, thread, tiles, dx, g, filters, it, slabs):  # type: ignore[no-untyped-def]
    s, f, slab = it.slide, it.filters, slabs[thread]
    groups, kinds = s.n // it.images, s.sh * s.sw
    for unit in share((groups + s.n % it.images) * it.blocks, worker, workers):
        number, block = unit // it.blocks, unit % it.blocks
        whole = number < groups
        count = it.images if whole else 1
        image = number * it.images if whole else groups * it.images + number - groups
        pixels = it.group if whole else it.single
        for m in range(count):
            _fill(slab, m * it.slab[0] * it.slab[1] * f, g, image + m, it.first[0] + block * it.rows, it)
        for phase in range(kinds):
            start, begin = pixels.starts[block * kinds + phase], it.ends[phase]
            product(
                tiles,
                Left(address(slab), address(pixels.windows) + 8 * start, address(it.steps) + 8 * begin),
                Right(address(filters.packed), address(it.weights) + 8 * begin, f),
                Result(address(dx) + 4 * image * s.h * s.w * s.c, address(pixels.outputs) + 8 * start),
                it.ends[phase + 1] - begin,
                pixels.counts[block * kinds + phase],
                s.c,
                0,
                address(filters.bias) if len(filters.bias) else 0,
                filters.positive,
            )


def input_grad(dx: ndarray, g: ndarray, w: ndarray, b: ndarray, window: Window, activation: str) -> None:
    """Compute activation(conv2d_input_grad(g, w) + b), with b empty for no bias, for a linear or relu `activation`."""
    taps, (c, f) = window.taps, w.shape[2:]
    it = phases(window, dx.shape, f)
    packed = scratch(taps, -(-c // PANEL), f, PANEL)
    turned(w.size, packed, w.reshape(taps, c, f))
    slabs = scratch(team.size(), it.images * it.slab[0] * it.slab[1] * f)
    filters = Filters(packed.reshape(-1), b, int(activation == "relu"))
    _phases(g.size * taps * c, compiled(), dx.reshape(-1), g.reshape(-1), filters, it, slabs)
