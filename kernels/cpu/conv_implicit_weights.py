"""The gradient of a convolution with respect to its filters, without im2col (see `conv_implicit`).

This is a matrix product whose rows are the taps and channels of the filters and whose inner dimension is the pixels.
Where a max-pooling follows the convolution, the gradient of its maxima is first scattered to the pixels of a block.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import team
from ..geometry import Ints, Window
from .conv_implicit import Buffers, input_of, slabs
from .machine.layout import Pooling, layout, multiples, pooling
from .machine.memory import clear
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.tile import ROWS, Left, Result, Right, address, compiled, product
from .machine.windows import column_sums, spread
from .reduce import total


class Gradient(NamedTuple):
    """The gradient of the result of a convolution, or of the maxima of a pooling after it.

    Attributes:
        g: gradients of the pixels or of the maxima, flat.
        row_offsets: offset of each pixel of a block.
        pool: the max-pooling, or `NO_POOLING`, for which the attributes below are unused.
        argmax: the taps of the maxima.
        y: the maxima after a ReLU, whose gradient is applied first; empty without a ReLU.
        sums: (N, F), float64: the sums over each image's pixels, an additional result.
    """

    g: ndarray
    row_offsets: ndarray
    pool: Pooling
    argmax: ndarray
    y: ndarray
    sums: ndarray


class Shares(NamedTuple):
    """How the gradient of filters (K, F) is split into units of work.

    Attributes:
        parts: (P, K, F): partial sums, each over some of the images.
        rows: rows of K that one unit of work computes.
        row_offsets: offset of each row of K.
    """

    parts: ndarray
    rows: int
    row_offsets: ndarray


@ParallelLoop
def _weights(worker, workers, thread, tiles, x, gradient, shares, at, buffers):  # type: ignore[no-untyped-def]
    s, f, pool, parts, wide = at.slide, at.filters, gradient.pool, shares.parts, shares.rows
    oh, ow, pixels = s.oh, s.ow, buffers.pooled[thread]
    depth = parts.shape[1]
    units = (depth + wide - 1) // wide
    if pool.gaps:
        clear(pixels, 0, len(pixels))
    for unit in share(len(parts) * units, worker, workers):
        part, begin = unit // units, unit % units * wide
        low, high = part * s.n // len(parts), (part + 1) * s.n // len(parts)
        for image in range(low, high, at.images):
            count = min(at.images, high - image)
            for first in range(0, oh, at.rows):
                rows = min(at.rows, oh - first)
                right = address(gradient.g) + 4 * ((image * oh + first) * ow * f)
                if pool.taps:
                    right = address(pixels)
                    for m in range(count):
                        for i in range((rows - pool.rows) // pool.sh + 1):
                            to = ((image + m) * pool.oh + first // pool.sh + i) * pool.ow * f
                            after = address(gradient.y) + 4 * to if len(gradient.y) else 0
                            window = right + 4 * (m * oh + i * pool.sh) * ow * f
                            maxima, which = address(gradient.g) + 4 * to, address(gradient.argmax) + to
                            taps, apart = address(pool.offsets), pool.sw * f
                            spread(window, apart, pool.ow, taps, pool.taps, maxima, which, after, f)
                        if rows < at.rows:  # rows that no window reads still hold values of the previous block
                            below = (rows - pool.rows) // pool.sh * pool.sh + pool.sh
                            clear(pixels, below * ow * f, max(rows - below, 0) * ow * f)
                        sums = address(gradient.sums) + 8 * (image + m) * f
                        column_sums(right + 4 * m * oh * ow * f, rows * ow, f, f, sums, 1 if first else 0)
                source = input_of(buffers.slabs[thread], x, image, count, first, rows, at)
                product(
                    tiles,
                    Left(source, address(at.block.taps) + 8 * begin, address(at.block.pixels)),
                    Right(right, address(gradient.row_offsets), 1),
                    Result(address(parts[part]), address(shares.row_offsets) + 8 * begin),
                    count * rows * ow,
                    min(wide, depth - begin),
                    f,
                    1 if image > low or first else 0,
                    0,
                    0,
                )


_UNITS = 16  # units of work, where there are enough images
_SUMS = 1 << 16  # floats of dw that a unit computes: 256 KiB, which stay in the second-level cache
_STEPS = 128  # pixels that a tile sums before it stores: their gradients stay in the first-level cache
_PIXELS = 1024  # of a part at least, so that adding up the parts is little of the work


def _parts_and_share(window: Window, shape: Ints, depth: int, filters: int) -> tuple[int, int]:
    """Return into how many parts the images are split, and how many rows of dw one unit of work computes."""
    oh, ow = replace(window, crop=()).output(shape[1:3])  # the same parts, whatever is cropped
    least = -(-depth * filters // _SUMS)
    parts = max(1, min(shape[0], _UNITS // least, shape[0] * oh * ow // _PIXELS))
    shares = max(least, _UNITS // parts)
    return parts, -(-depth // (shares * ROWS)) * ROWS  # whole tiles, so that no tile overlaps the rows of another unit


def undivided(window: Window, shape: Ints, depth: int, filters: int) -> bool:
    """Return whether a unit of work computes all rows of dw, and so reads the gradient only once."""
    return _parts_and_share(window, shape, depth, filters)[1] >= depth


def weight_grad(
    dw: ndarray, db: ndarray, x: ndarray, g: ndarray, argmax: ndarray, y: ndarray, window: Window, pool: Window | None
) -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y.

    The rows of dw are split among units of work, and where they are few, the images too. The split depends on the
    shapes alone, so the result is bitwise the same for any number of threads, and with or without a pooling. With
    `pool`, g and the taps `argmax` are those of the maxima of a max-pooling, and db, the gradient of the bias, is
    computed as well; y, if not empty, holds these maxima after a ReLU, whose gradient is applied first.
    """
    f = g.shape[3]
    depth = dw.size // f
    at = layout(window, x.shape, f, pixels=_STEPS, steps=1 if pool is None else pool.strides[0])
    s, pixels = at.slide, at.images * at.rows * at.slide.ow
    count, rows = _parts_and_share(window, x.shape, depth, f)
    parts = dw.reshape(1, depth, f) if count == 1 else scratch(count, depth, f)
    sums = scratch(*((1, 1) if pool is None else (s.n, f)), dtype=np.float64)
    buffers = Buffers(slabs(at), scratch(team.size(), 1 if pool is None else pixels * f))
    below = pooling(pool, (s.oh, s.ow), f), argmax.reshape(-1), y.reshape(-1), sums
    gradient = Gradient(g.reshape(-1), multiples(pixels, f), *below)
    shares = Shares(parts, rows, multiples(depth, f))
    _weights(s.n * s.oh * s.ow * f * depth, compiled(), x.reshape(-1), gradient, shares, at, buffers)
    if count > 1:
        total(parts.size, dw.reshape(-1), parts.reshape(count, -1))
    if pool is not None:
        total(sums.size, db, sums)
