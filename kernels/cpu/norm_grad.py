"""The gradients of batch normalization, in lines and parts as in `norm`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..registry import Stages, accelerates
from .machine.prebound import ParallelLoop, share
from .machine.threads import BLOCK
from .norm import FEW, by_channels, fold, join, lines_of, parts_of, repeated, tables_of

_NO_MASK = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


class _Statistics(NamedTuple):
    """The statistics by which a batch of `size` elements was normalized."""

    size: int
    mean: ndarray
    variance: ndarray
    epsilon: float


@ParallelLoop
def _gradient_sums(worker, workers, parts, g, x, y, mean):  # type: ignore[no-untyped-def]
    # g, x, y (rows * C,), mean (C,) -> parts (P, 5, line): mean, sums of g and g * (x - mean), space for those of few
    # lines
    line, zero, one = np.uintp(parts.shape[2]), g.dtype.type(0), g.dtype.type(1)
    for p in share(len(parts), worker, workers):
        first, last = lines_of(p, parts, x.size)
        center, total, products, some, few = parts[p, 0], parts[p, 1], parts[p, 2], parts[p, 3], parts[p, 4]
        repeated(center, mean, mean.size)
        parts[p, 1:] = 0
        for start in range(first, last, line * FEW):
            for at in range(start, min(start + line * FEW, last), line):
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
            join(total, some)
            join(products, few)
        fold(total, mean.size)
        fold(products, mean.size)


@ParallelLoop
def _sloped(worker, workers, dgamma, dbeta, tables, parts, gamma, given):  # type: ignore[no-untyped-def]
    # parts (P, 5, line) -> dgamma, dbeta (C,), tables (4, line)
    mean, variance = given.mean, given.variance
    c, one, size = mean.size, mean.dtype.type(1), given.size
    for k in share(c, worker, workers):
        inverse = one / math.sqrt(variance[k] + mean.dtype.type(given.epsilon))
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


@ParallelLoop
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


def _after_relu(*arrays: ndarray, stages: Stages) -> bool:
    return stages[0]["activation"] == "relu" and by_channels(*arrays)


def _gradients(
    dx: ndarray, dgamma: ndarray, dbeta: ndarray, g: ndarray, y: ndarray, x: ndarray, gamma: ndarray, given: _Statistics
) -> None:
    parts, tables = parts_of(x), tables_of(x, 4)
    flat = [a.reshape(-1) for a in (g, x, y)]
    _gradient_sums(x.size, parts, *flat, given.mean)
    _sloped(len(parts) * gamma.size, dgamma, dbeta, tables, parts, gamma, given)
    _input_grad(x.size, dx.reshape(-1), *flat, tables)


@accelerates("batch_norm_grad", device="cpu", supports=by_channels)
def batch_norm_grad(
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
    """Compute the gradients of `batch_norm`: g, x, dx (..., C), the others (C,)."""
    given = _Statistics(x.size, mean, variance, float(epsilon))
    _gradients(dx, dgamma, dbeta, g, _NO_MASK[g.dtype], x, gamma, given)


@accelerates("activation_grad+batch_norm_grad", device="cpu", supports=_after_relu)
def activation_grad_batch_norm_grad(
    dx: ndarray,
    dgamma: ndarray,
    dbeta: ndarray,
    g: ndarray,
    y: ndarray,
    x: ndarray,
    gamma: ndarray,
    mean: ndarray,
    variance: ndarray,
    *,
    stages: Stages,
) -> None:
    """Compute the gradients of `batch_norm` from that of the result y of a ReLU after it."""
    given = _Statistics(x.size, mean, variance, float(stages[1]["epsilon"]))
    _gradients(dx, dgamma, dbeta, g, y, x, gamma, given)
