"""Batch normalization: the statistics of each channel, and the passes that apply them.

Where there are few channels, several adjacent rows are processed as one line of some hundred elements, with the
parameters of the channels repeated to the same length, so that the loops over a line are long in any case. Sums are
computed part by part, where a part is some lines, and then over the parts in order, in float64: the result is bitwise
the same for any number of threads.

A batch is read once for mean and variance. Each part is shifted by the mean of its first line. This is so close to the
mean of the part that hardly any digits of the sum of squares are lost, however far from 0 the values are; if the first
line is an outlier, the error grows by at most the number of lines. The sums of the parts are then corrected to the mean
of the batch (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983).
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from ..registry import Stages, accelerates, floats
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import BLOCK, inner

_LINE = 512
"""Elements of a line, approximately; with more channels a line is longer."""

_LINES = 64  # lines of a part
FEW = np.uintp(8)  # lines that are summed before their sum is added to that of the part, to reduce rounding errors


def _lines(channels: int) -> int:
    return max(_LINE // channels, 1) * channels


def parts_of(x: ndarray) -> ndarray:
    """Return scratch memory for the sums of each part of x (rows * C,): (P, 5, line)."""
    line = _lines(x.shape[-1])
    return scratch(-(-x.size // (_LINES * line)), 5, line, dtype=x.dtype)


def tables_of(x: ndarray, rows: int) -> ndarray:
    """Return scratch memory for `rows` tables, each of the length of a line."""
    return scratch(rows, _lines(x.shape[-1]), dtype=x.dtype)


@inner
def repeated(line: ndarray, values: ndarray, c: int) -> None:
    """Fill a line with repetitions of `c` values."""
    for k in range(np.uintp(c)):
        line[k] = values[k]
    for k in range(np.uintp(c), np.uintp(len(line))):
        line[k] = line[k - np.uintp(c)]


@inner
def lines_of(p: int, parts: ndarray, size: int) -> tuple[np.uintp, np.uintp]:
    """Return the offsets at which part `p` of a flat array of `size` elements begins and ends."""
    step = _LINES * parts.shape[2]
    return np.uintp(p * step), np.uintp(min((p + 1) * step, size))


@inner
def _rows_of(p: int, parts: ndarray, size: int, c: int) -> float:
    """Return the number of rows in part `p`, as a float."""
    first, last = lines_of(p, parts, size)
    return float((last - first) // np.uintp(c))


@inner
def fold(sums: ndarray, c: int) -> None:
    """Add up the repetitions of `c` channels in a line by pairwise summation."""
    copies = len(sums) // c
    while copies > 1:
        half = copies // 2
        far = np.uintp((copies - half) * c)
        for k in range(np.uintp(half * c)):
            sums[k] += sums[far + k]
        copies -= half


@inner
def join(total: ndarray, some: ndarray) -> None:
    """Add the sum of a few lines to that of the part, and clear it."""
    for k in range(np.uintp(len(total))):
        total[k] += some[k]
        some[k] = 0


@ParallelLoop
def _moments(worker, workers, parts, x, c):  # type: ignore[no-untyped-def]
    # x (rows * C,) -> parts (P, 5, line): a shift near the mean, the sums of the deviations from it and of their
    # squares, and space for such sums of a few lines
    line = np.uintp(parts.shape[2])
    for p in share(len(parts), worker, workers):
        first, last = lines_of(p, parts, x.size)
        near, total, squares, some, few = parts[p, 0], parts[p, 1], parts[p, 2], parts[p, 3], parts[p, 4]
        width = min(line, last - first)
        for k in range(width):
            near[k] = x[first + k]
        fold(near[:width], c)
        for k in range(c):
            near[k] /= width // np.uintp(c)
        repeated(near, near, c)
        parts[p, 1:] = 0
        for start in range(first, last, line * FEW):
            for at in range(start, min(start + line * FEW, last), line):
                for k in range(min(line, last - at)):
                    d = x[at + k] - near[k]
                    some[k] += d
                    few[k] += d * d
            join(total, some)
            join(squares, few)
        fold(total, c)
        fold(squares, c)


@ParallelLoop
def _statistics(worker, workers, mean, variance, tables, parts, size, gamma, beta, epsilon):  # type: ignore[no-untyped-def]
    # parts (P, 5, line) -> mean, variance (C,), tables (3, line)
    c, one = mean.size, mean.dtype.type(1)
    count = size // c
    for k in share(c, worker, workers):
        center, spread = 0.0, 0.0
        for p in range(len(parts)):
            center += float(parts[p, 0, k]) * _rows_of(p, parts, size, c) + parts[p, 1, k]
        center /= count
        for p in range(len(parts)):
            rows = _rows_of(p, parts, size, c)
            off = parts[p, 1, k] / rows
            away = parts[p, 0, k] + off - center  # distance of the mean of the part from the mean of the batch
            spread += parts[p, 2, k] - off * parts[p, 1, k] + away * away * rows
        mean[k] = center
        variance[k] = 0 if spread < 0 else spread / count
        factor = gamma[k] * (one / math.sqrt(variance[k] + mean.dtype.type(epsilon)))
        for at in range(k, tables.shape[1], c):
            tables[0, at], tables[1, at], tables[2, at] = mean[k], factor, beta[k]


@ParallelLoop
def _tabulated(worker, workers, tables, center, scale, shift):  # type: ignore[no-untyped-def]
    for row in share(3, worker, workers):
        repeated(tables[row], center if row == 0 else scale if row == 1 else shift, center.size)


@ParallelLoop
def _scaled(worker, workers, y, x, tables, positive):  # type: ignore[no-untyped-def]
    # x (rows * C,), tables (3, line) of center, scale and shift -> y (rows * C,)
    zero, line = y.dtype.type(0), np.uintp(tables.shape[1])
    center, scale, shift = tables[0], tables[1], tables[2]
    length = max(BLOCK // tables.shape[1], 1) * tables.shape[1]
    for block in share((x.size + length - 1) // length, worker, workers):
        first, last = np.uintp(block * length), np.uintp(min((block + 1) * length, x.size))
        for at in range(first, last, line):
            width = min(line, last - at)
            if positive:
                for k in range(width):
                    value = (x[at + k] - center[k]) * scale[k] + shift[k]
                    y[at + k] = zero if value <= zero else value  # a NaN is not <= 0 and stays
            else:
                for k in range(width):
                    y[at + k] = (x[at + k] - center[k]) * scale[k] + shift[k]


def by_channels(*arrays: ndarray, **static: object) -> bool:
    """Accept `floats`, the last of which is not empty."""
    return floats(*arrays) and arrays[-1].size > 0


def _normalized(
    y: ndarray,
    mean: ndarray,
    variance: ndarray,
    x: ndarray,
    gamma: ndarray,
    beta: ndarray,
    epsilon: float,
    positive: bool,
) -> None:
    parts, tables = parts_of(x), tables_of(x, 3)
    _moments(x.size, parts, x.reshape(-1), mean.size)
    _statistics(len(parts) * mean.size, mean, variance, tables, parts, x.size, gamma, beta, float(epsilon))
    _scaled(x.size, y.reshape(-1), x.reshape(-1), tables, positive)


@accelerates("batch_norm", device="cpu", supports=by_channels)
def batch_norm(
    y: ndarray, mean: ndarray, variance: ndarray, x: ndarray, gamma: ndarray, beta: ndarray, *, epsilon: float
) -> None:
    """Normalize x (..., C) by the statistics of its rows: y (..., C), mean, variance, gamma, beta (C,).

    Example:
        >>> y, mean, variance = np.empty((2, 1)), np.empty(1), np.empty(1)
        >>> batch_norm(y, mean, variance, np.array([[1.0], [5.0]]), np.ones(1), np.zeros(1), epsilon=0.0)
        >>> y.ravel(), mean, variance
        (array([-1.,  1.]), array([3.]), array([4.]))
    """
    _normalized(y, mean, variance, x, gamma, beta, epsilon, False)


@accelerates("batch_norm+relu", device="cpu", supports=by_channels)
def batch_norm_relu(
    mean: ndarray, variance: ndarray, y: ndarray, x: ndarray, gamma: ndarray, beta: ndarray, *, stages: Stages
) -> None:
    """Compute relu(batch_norm(x)), and the statistics."""
    _normalized(y, mean, variance, x, gamma, beta, stages[0]["epsilon"], True)


def _shifted(y: ndarray, x: ndarray, center: ndarray, scale: ndarray, shift: ndarray, positive: bool) -> None:
    tables = tables_of(x, 3)
    _tabulated(tables.size, tables, center, scale, shift)
    _scaled(x.size, y.reshape(-1), x.reshape(-1), tables, positive)


@accelerates("scale_shift", device="cpu", supports=by_channels)
def scale_shift(y: ndarray, x: ndarray, center: ndarray, scale: ndarray, shift: ndarray) -> None:
    """Compute y = (x - center) * scale + shift: x, y (..., C), the others (C,)."""
    _shifted(y, x, center, scale, shift, False)


@accelerates("scale_shift+relu", device="cpu", supports=by_channels)
def scale_shift_relu(
    y: ndarray, x: ndarray, center: ndarray, scale: ndarray, shift: ndarray, *, stages: Stages
) -> None:
    """Compute relu((x - center) * scale + shift)."""
    _shifted(y, x, center, scale, shift, True)
