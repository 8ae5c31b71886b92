"""Normalization channel by channel: the statistics of a batch, and the passes that use them.

Several rows of few channels lie side by side in a line of some hundred numbers, each with its own entry in a table of
as many: the loops over a line are long, however few channels there are. Sums are made part by part, a part being some
lines, and then in order over the parts in float64: the bits are the same for any number of threads.

A batch is read once for mean and variance. Each part counts from the mean of its first line. That is so near to its own
that the sum of squares loses next to nothing, however far from 0 all the numbers are; should the line be far off, the
error grows by no more than the number of lines. The sums of the parts are then moved to the mean of all (Chan, Golub
and LeVeque, "Algorithms for computing the sample variance", 1983).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..registry import Stages, accelerates, floats
from .machine.prebound import Kernel, share
from .machine.scratch import scratch
from .machine.threads import BLOCK, inner

_LINE = 512
"""Numbers of a line, about; more channels make it longer."""

_LINES = 64  # of a part
_FEW = np.uintp(8)  # lines that are summed before their sum is added to that of the part, which so drifts less
_NO_MASK = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def _lines(channels: int) -> int:
    return max(_LINE // channels, 1) * channels


def _parts(x: Any) -> Any:
    line = _lines(x.shape[-1])
    return scratch("moments", -(-x.size // (_LINES * line)), 5, line, dtype=x.dtype)


def _tables(x: Any, rows: int) -> Any:
    return scratch("channels", rows, _lines(x.shape[-1]), dtype=x.dtype)


@inner
def _repeated(line: Any, values: Any, c: Any) -> None:
    for k in range(np.uintp(c)):
        line[k] = values[k]
    for k in range(np.uintp(c), np.uintp(len(line))):
        line[k] = line[k - np.uintp(c)]


@inner
def _lines_of(p: int, parts: Any, size: int) -> Any:
    """Return where part number `p` of a flat array of `size` elements begins and ends."""
    step = _LINES * parts.shape[2]
    return np.uintp(p * step), np.uintp(min((p + 1) * step, size))


@inner
def _rows_of(p: Any, parts: Any, size: int, c: int) -> Any:
    """Return how many rows there are in part number `p`, as a float."""
    first, last = _lines_of(p, parts, size)
    return float((last - first) // np.uintp(c))


@inner
def _fold(sums: Any, c: int) -> None:
    # Add up the copies of c channels that lie side by side, pairs of them, pairs of pairs and so on.
    copies = len(sums) // c
    while copies > 1:
        half = copies // 2
        far = np.uintp((copies - half) * c)
        for k in range(np.uintp(half * c)):
            sums[k] += sums[far + k]
        copies -= half


@inner
def _join(total: Any, some: Any) -> None:
    for k in range(np.uintp(len(total))):
        total[k] += some[k]
        some[k] = 0


@Kernel
def _moments(worker, workers, parts, x, c):  # type: ignore[no-untyped-def]
    # x (rows * C,) -> parts (P, 5, line) of a number near the mean, sums of the distances from it and of their squares,
    # and room for such sums of a few lines
    line = np.uintp(parts.shape[2])
    for p in share(len(parts), worker, workers):
        first, last = _lines_of(p, parts, x.size)
        near, total, squares, some, few = parts[p, 0], parts[p, 1], parts[p, 2], parts[p, 3], parts[p, 4]
        width = min(line, last - first)
        for k in range(width):
            near[k] = x[first + k]
        _fold(near[:width], c)
        for k in range(c):
            near[k] /= width // np.uintp(c)
        _repeated(near, near, c)
        parts[p, 1:] = 0
        for start in range(first, last, line * _FEW):
            for at in range(start, min(start + line * _FEW, last), line):
                for k in range(min(line, last - at)):
                    d = x[at + k] - near[k]
                    some[k] += d
                    few[k] += d * d
            _join(total, some)
            _join(squares, few)
        _fold(total, c)
        _fold(squares, c)


@Kernel
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
            away = parts[p, 0, k] + off - center  # how far the mean of the part is from that of all
            spread += parts[p, 2, k] - off * parts[p, 1, k] + away * away * rows
        mean[k] = center
        variance[k] = 0 if spread < 0 else spread / count
        factor = gamma[k] * (one / math.sqrt(variance[k] + mean.dtype.type(epsilon)))
        for at in range(k, tables.shape[1], c):
            tables[0, at], tables[1, at], tables[2, at] = mean[k], factor, beta[k]


@Kernel
def _tabulated(worker, workers, tables, center, scale, shift):  # type: ignore[no-untyped-def]
    for row in share(3, worker, workers):
        _repeated(tables[row], center if row == 0 else scale if row == 1 else shift, center.size)


@Kernel
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


def _channels(*arrays: Any, **static: Any) -> bool:
    return floats(*arrays) and arrays[-1].size > 0


def _after_relu(*arrays: Any, stages: Stages) -> bool:
    return stages[0]["activation"] == "relu" and _channels(*arrays)


def _normalized(
    y: Any, mean: Any, variance: Any, x: Any, gamma: Any, beta: Any, epsilon: float, positive: bool
) -> None:
    parts, tables = _parts(x), _tables(x, 3)
    _moments(x.size, parts, x.reshape(-1), mean.size)
    _statistics(len(parts) * mean.size, mean, variance, tables, parts, x.size, gamma, beta, float(epsilon))
    _scaled(x.size, y.reshape(-1), x.reshape(-1), tables, positive)


@accelerates("batch_norm", device="cpu", takes=_channels)
def batch_norm(y: Any, mean: Any, variance: Any, x: Any, gamma: Any, beta: Any, *, epsilon: float) -> None:
    """Normalize x (..., C) by the statistics of its rows: y (..., C), mean, variance, gamma, beta (C,).

    Example:
        >>> y, mean, variance = np.empty((2, 1)), np.empty(1), np.empty(1)
        >>> batch_norm(y, mean, variance, np.array([[1.0], [5.0]]), np.ones(1), np.zeros(1), epsilon=0.0)
        >>> y.ravel(), mean, variance
        (array([-1.,  1.]), array([3.]), array([4.]))
    """
    _normalized(y, mean, variance, x, gamma, beta, epsilon, False)


@accelerates("batch_norm+relu", device="cpu", takes=_channels)
def batch_norm_relu(mean: Any, variance: Any, y: Any, x: Any, gamma: Any, beta: Any, *, stages: Stages) -> None:
    """Compute relu(batch_norm(x)), and the statistics."""
    _normalized(y, mean, variance, x, gamma, beta, stages[0]["epsilon"], True)


def _shifted(y: Any, x: Any, center: Any, scale: Any, shift: Any, positive: bool) -> None:
    tables = _tables(x, 3)
    _tabulated(tables.size, tables, center, scale, shift)
    _scaled(x.size, y.reshape(-1), x.reshape(-1), tables, positive)


@accelerates("scale_shift", device="cpu", takes=_channels)
def scale_shift(y: Any, x: Any, center: Any, scale: Any, shift: Any) -> None:
    """Compute y = (x - center) * scale + shift: x, y (..., C), the others (C,)."""
    _shifted(y, x, center, scale, shift, False)


@accelerates("scale_shift+relu", device="cpu", takes=_channels)
def scale_shift_relu(y: Any, x: Any, center: Any, scale: Any, shift: Any, *, stages: Stages) -> None:
    """Compute relu((x - center) * scale + shift)."""
    _shifted(y, x, center, scale, shift, True)


@Kernel
def _gradient_sums(worker, workers, parts, g, x, y, mean):  # type: ignore[no-untyped-def]
    # g, x, y (rows * C,), mean (C,) -> parts (P, 5, line) of the mean, sums of g and g * (x - mean), and room for few
    line, zero, one = np.uintp(parts.shape[2]), g.dtype.type(0), g.dtype.type(1)
    for p in share(len(parts), worker, workers):
        first, last = _lines_of(p, parts, x.size)
        center, total, products, some, few = parts[p, 0], parts[p, 1], parts[p, 2], parts[p, 3], parts[p, 4]
        _repeated(center, mean, mean.size)
        parts[p, 1:] = 0
        for start in range(first, last, line * _FEW):
            for at in range(start, min(start + line * _FEW, last), line):
                width = min(line, last - at)
                if len(y):
                    for k in range(width):
                        before = g[at + k] * (one if y[at + k] > zero else zero)
                        some[k] += before
                        few[k] += before * (x[at + k] - center[k])
                else:
                    for k in range(width):
                        some[k] += g[at + k]
                        few[k] += g[at + k] * (x[at + k] - center[k])
            _join(total, some)
            _join(products, few)
        _fold(total, mean.size)
        _fold(products, mean.size)


@Kernel
def _sloped(worker, workers, dgamma, dbeta, tables, parts, size, gamma, mean, variance, epsilon):  # type: ignore[no-untyped-def]
    # parts (P, 5, line) -> dgamma, dbeta (C,), tables (4, line)
    c, one = mean.size, mean.dtype.type(1)
    for k in share(c, worker, workers):
        inverse = one / math.sqrt(variance[k] + mean.dtype.type(epsilon))
        total, product = 0.0, 0.0
        for p in range(len(parts)):
            total += parts[p, 1, k]
            product += parts[p, 2, k]
        dbeta[k] = total
        dgamma[k] = product * inverse
        count = max(size // c, 1)
        offset, slope = total / count, product * inverse * inverse / count
        for at in range(k, tables.shape[1], c):
            tables[0, at], tables[1, at] = mean[k], offset
            tables[2, at], tables[3, at] = slope, gamma[k] * inverse


@Kernel
def _input_grad(worker, workers, dx, g, x, y, tables):  # type: ignore[no-untyped-def]
    # g, x, y (rows * C,), tables (4, line) -> dx (rows * C,)
    zero, one, line = g.dtype.type(0), g.dtype.type(1), np.uintp(tables.shape[1])
    mean, offset, slope, factor = tables[0], tables[1], tables[2], tables[3]
    length = max(BLOCK // tables.shape[1], 1) * tables.shape[1]
    for block in share((x.size + length - 1) // length, worker, workers):
        first, last = np.uintp(block * length), np.uintp(min((block + 1) * length, x.size))
        for at in range(first, last, line):
            width = min(line, last - at)
            if len(y):
                for k in range(width):
                    before = g[at + k] * (one if y[at + k] > zero else zero)
                    dx[at + k] = (before - offset[k] - (x[at + k] - mean[k]) * slope[k]) * factor[k]
            else:
                for k in range(width):
                    dx[at + k] = (g[at + k] - offset[k] - (x[at + k] - mean[k]) * slope[k]) * factor[k]


def _gradients(
    dx: Any, dgamma: Any, dbeta: Any, g: Any, y: Any, x: Any, gamma: Any, mean: Any, variance: Any, epsilon: float
) -> None:
    parts, tables = _parts(x), _tables(x, 4)
    flat = [a.reshape(-1) for a in (g, x, y)]
    _gradient_sums(x.size, parts, *flat, mean)
    _sloped(len(parts) * mean.size, dgamma, dbeta, tables, parts, x.size, gamma, mean, variance, float(epsilon))
    _input_grad(x.size, dx.reshape(-1), *flat, tables)


@accelerates("batch_norm_grad", device="cpu", takes=_channels)
def batch_norm_grad(
    dx: Any, dgamma: Any, dbeta: Any, g: Any, x: Any, gamma: Any, mean: Any, variance: Any, *, epsilon: float
) -> None:
    """Compute the gradients of `batch_norm`: g, x, dx (..., C), the others (C,)."""
    _gradients(dx, dgamma, dbeta, g, _NO_MASK[g.dtype], x, gamma, mean, variance, epsilon)


@accelerates("activation_grad+batch_norm_grad", device="cpu", takes=_after_relu)
def activation_grad_batch_norm_grad(
    dx: Any, dgamma: Any, dbeta: Any, g: Any, y: Any, x: Any, gamma: Any, mean: Any, variance: Any, *, stages: Stages
) -> None:
    """Compute the gradients of `batch_norm` from that of a ReLU after it, whose result is y."""
    _gradients(dx, dgamma, dbeta, g, y, x, gamma, mean, variance, stages[1]["epsilon"])
