"""Layer normalization: each row by its own mean and variance, and the gradients.

A row is summed in a line of many partial sums, which are vectors, few elements in each; these are added up in float64.
The gradients with respect to gamma and beta are sums over all rows: of a few rows, then in float64 over these and over
the parts in order, so that the result is bitwise the same for any number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import team
from ..registry import accelerates, floats
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner

_LINE = 64
_PARTS = 64  # at most; a part has at least as many rows
_ROWS = 16
_FEW = 16  # what is added in the dtype of the rows


class _Statistics(NamedTuple):
    """The statistics of each row, and what is added to the variance."""

    mean: ndarray
    variance: ndarray
    epsilon: float


class _Lines(NamedTuple):
    """Scratch memory of each thread: a line of partial sums, and rows."""

    sums: ndarray
    rows: ndarray


@inner
def _folded(line: ndarray) -> float:
    """Return the sum of a line by pairwise summation, and clear it."""
    wide = np.uintp(_LINE // 2)
    while wide:
        for k in range(wide):
            line[k] += line[wide + k]
            line[wide + k] = 0
        wide //= np.uintp(2)
    total: float = line[0]
    line[0] = 0
    return total


@inner
def _sum(x: ndarray, at: int, length: int, line: ndarray) -> float:
    """Return the sum of `length` elements from `at` on; the line is 0 before and after."""
    start, size, wide, block = np.uintp(at), np.uintp(length), np.uintp(_LINE), np.uintp(_LINE * _FEW)
    whole, total = size // wide * wide, 0.0
    for begin in range(np.uintp(0), whole, block):
        for first in range(begin, min(whole, begin + block), wide):
            for k in range(wide):
                line[k] += x[start + first + k]
        total += _folded(line)
    if whole < size:
        for k in range(size - whole):
            line[k] += x[start + whole + k]
        total += _folded(line)
    return line.dtype.type(total)  # type: ignore[no-any-return]


@inner
def _centered(to: ndarray, x: ndarray, at: int, center: float, line: ndarray) -> float:
    """Write a row minus `center` to `to`, and return the sum of the squares."""
    start, size, wide, block = np.uintp(at), np.uintp(len(to)), np.uintp(_LINE), np.uintp(_LINE * _FEW)
    for k in range(size):
        to[k] = x[start + k] - center
    whole, total = size // wide * wide, 0.0
    for begin in range(np.uintp(0), whole, block):
        for first in range(begin, min(whole, begin + block), wide):
            for k in range(wide):
                line[k] += to[first + k] * to[first + k]
        total += _folded(line)
    if whole < size:
        for k in range(size - whole):
            line[k] += to[whole + k] * to[whole + k]
        total += _folded(line)
    return line.dtype.type(total)  # type: ignore[no-any-return]


@ParallelLoop
def _forward(worker, workers, thread, y, has, x, gamma, beta, lines):  # type: ignore[no-untyped-def]
    # x, y (rows * C,), gamma, beta (C,); `has`, the statistics, is filled
    c, line, row, mean, variance = len(gamma), lines.sums[thread], lines.rows[thread, 0], has.mean, has.variance
    line[:] = 0
    one = x.dtype.type(1)
    for r in share(len(mean), worker, workers):
        at = np.uintp(r * c)
        center = _sum(x, r * c, c, line) / x.dtype.type(c)
        spread = _centered(row, x, r * c, center, line) / x.dtype.type(c)
        mean[r], variance[r] = center, spread
        inverse = one / math.sqrt(spread + x.dtype.type(has.epsilon))
        for k in range(np.uintp(c)):
            y[at + k] = row[k] * inverse * gamma[k] + beta[k]


@ParallelLoop
def _backward(worker, workers, thread, dx, parts, g, x, gamma, given, lines):  # type: ignore[no-untyped-def]
    # g, x, dx (rows * C,) -> parts (P, 2, C), the sums for gamma and beta
    mean, variance = given.mean, given.variance
    c, line, rows = len(gamma), lines.sums[thread], lines.rows[thread]
    slope, normal, for_gamma, for_beta = rows[0], rows[1], rows[2], rows[3]
    line[:] = 0
    one, count = x.dtype.type(1), x.dtype.type(c)
    for p in share(len(parts), worker, workers):
        parts[p] = 0
        rows[2:] = 0
        begin, end = p * len(mean) // len(parts), (p + 1) * len(mean) // len(parts)
        for r in range(begin, end):
            at, center = np.uintp(r * c), mean[r]
            inverse = one / math.sqrt(variance[r] + x.dtype.type(given.epsilon))
            for k in range(np.uintp(c)):
                normal[k] = (x[at + k] - center) * inverse
                for_beta[k] += g[at + k]
                for_gamma[k] += g[at + k] * normal[k]
                slope[k] = g[at + k] * gamma[k]
            plain = _sum(slope, 0, c, line) / count
            for k in range(np.uintp(c)):
                dx[at + k] = slope[k] * normal[k]
            along = _sum(dx, r * c, c, line) / count
            for k in range(np.uintp(c)):
                dx[at + k] = (slope[k] - plain - normal[k] * along) * inverse
            if (r - begin) % _FEW == _FEW - 1 or r == end - 1:
                for k in range(np.uintp(c)):
                    parts[p, 0, k] += for_gamma[k]
                    parts[p, 1, k] += for_beta[k]
                rows[2:] = 0


@ParallelLoop
def _totals(worker, workers, dgamma, dbeta, parts):  # type: ignore[no-untyped-def]
    for k in share(len(dgamma), worker, workers):
        of_gamma, of_beta = 0.0, 0.0
        for p in range(len(parts)):
            of_gamma += parts[p, 0, k]
            of_beta += parts[p, 1, k]
        dgamma[k], dbeta[k] = of_gamma, of_beta


def _by_rows(*arrays: ndarray, **static: object) -> bool:
    """Accept `floats` that are not empty."""
    return floats(*arrays) and all(a.size > 0 for a in arrays)


def _lines(like: ndarray, rows: int) -> _Lines:
    each = (team.size(), rows, like.shape[-1])
    return _Lines(scratch(team.size(), _LINE, dtype=like.dtype), scratch(*each, dtype=like.dtype))


@accelerates("layer_norm", device="cpu", supports=_by_rows)
def layer_norm(
    y: ndarray, mean: ndarray, variance: ndarray, x: ndarray, gamma: ndarray, beta: ndarray, *, epsilon: float
) -> None:
    """Normalize each row of x (..., C) by its statistics: y (..., C), mean, variance (...), gamma, beta (C,).

    Example:
        >>> y, mean, variance = np.empty((1, 2)), np.empty(1), np.empty(1)
        >>> layer_norm(y, mean, variance, np.array([[1.0, 5.0]]), np.ones(2), np.zeros(2), epsilon=0.0)
        >>> y, mean, variance
        (array([[-1.,  1.]]), array([3.]), array([4.]))
    """
    has = _Statistics(mean.reshape(-1), variance.reshape(-1), float(epsilon))
    _forward(x.size, y.reshape(-1), has, x.reshape(-1), gamma, beta, _lines(x, 1))


@accelerates("layer_norm_grad", device="cpu", supports=_by_rows)
def layer_norm_grad(
    dx: ndarray,
    dgamma: ndarray,
    dbeta: ndarray,
    g: ndarray,
    x: ndarray,
    gamma: ndarray,
    mean: ndarray,
    variance: ndarray,
    *,
    epsilon: float,
) -> None:
    """Compute the gradients of `layer_norm`: g, x, dx (..., C), mean, variance (...), the others (C,)."""
    parts = scratch(max(1, min(_PARTS, mean.size // _ROWS)), 2, gamma.size, dtype=np.dtype(np.float64))
    given = _Statistics(mean.reshape(-1), variance.reshape(-1), float(epsilon))
    _backward(x.size, dx.reshape(-1), parts, g.reshape(-1), x.reshape(-1), gamma, given, _lines(x, 4))
    _totals(parts.size, dgamma, dbeta, parts)
