"""The gradient of a 3 x 3 convolution with respect to its filters, by Winograd's algorithm (see `conv_winograd`)."""

from __future__ import annotations

from typing import NamedTuple

from numpy import ndarray

from ..geometry import Window
from .conv_winograd import POSITIONS, buffers, tiles_of, transform_gradient, transform_input
from .machine.layout import multiples
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.tile import ROWS, Left, Result, Right, address, compiled, product
from .machine.winograd_transform import Square, from_filter

_PARTS = 1 << 21  # floats of all partial sums: 8 MiB
_UNITS = 16  # units of work


class Shares(NamedTuple):
    """How the gradient of filters (16, C, F) is split into units of work.

    Attributes:
        parts: (P, 16, C, F): partial sums, each over some of the images.
        channels: channels of C that one unit of work computes.
        row_offsets: offset of each channel in (C, F).
    """

    parts: ndarray
    channels: int
    row_offsets: ndarray


@ParallelLoop
def _weights(worker, workers, thread, tiles, x, g, shares, at, buffers):  # type: ignore[no-untyped-def]
    parts, wide, count = shares.parts, shares.channels, at.block_size
    n, c, f = at.slide.n, at.slide.c, at.filters
    v, m, patch = buffers.inputs[thread], buffers.outputs[thread], buffers.patches[thread]
    per, units = at.down * at.across, (c + wide - 1) // wide
    for unit in share(len(parts) * units, worker, workers):
        part, begin = unit // units, unit % units * wide
        low, high = part * n // len(parts) * per, (part + 1) * n // len(parts) * per
        for first in range(low, high, count):
            here = min(count, high - first)
            for k in range(here):
                transform_input(x, first + k, patch, v, k, at)
                transform_gradient(g, first + k, patch, m, k, at)
            for position in range(POSITIONS):
                left = address(v) + 4 * position * count * c
                product(
                    tiles,
                    Left(left, address(at.channel_steps) + 8 * begin, address(at.pixels)),
                    Right(address(m) + 4 * position * count * f, address(at.outputs), 1),
                    Result(address(parts[part]) + 4 * position * c * f, address(shares.row_offsets) + 8 * begin),
                    here,
                    min(wide, c - begin),
                    f,
                    1 if first > low else 0,
                    0,
                    0,
                )


@ParallelLoop
def _back(worker, workers, dw, parts):  # type: ignore[no-untyped-def]
    # parts (P, 16, C, F) are added up in the first one, and transformed back to dw (3, 3, C, F)
    _, _, c, f = parts.shape
    for k in share(c, worker, workers):
        for at in range(POSITIONS):
            for p in range(1, len(parts)):
                for v in range(f):
                    parts[0, at, k, v] += parts[p, at, k, v]
        to = Square(address(dw) + 4 * k * f, 3 * c * f, c * f)
        from_filter(Square(address(parts) + 4 * k * f, 4 * c * f, c * f), to, 0, 0, 0, f)


def weight_grad(dw: ndarray, x: ndarray, g: ndarray, window: Window) -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y.

    How images and channels are split depends on the shapes alone, so the result is bitwise independent of the threads.
    """
    c, f = dw.shape[2:]
    at = tiles_of(window, x.shape, f)
    size = POSITIONS * c * f
    count = max(1, min(len(x), _UNITS, _PARTS // size))
    wide = -(-c // (max(1, _UNITS // (2 * count)) * ROWS)) * ROWS
    parts = scratch(count, POSITIONS, c, f)
    shares = Shares(parts, wide, multiples(c, f))
    _weights(g.size * c * 4, compiled(), x.reshape(-1), g.reshape(-1), shares, at, buffers(at))
    _back(parts.size, dw, parts)
