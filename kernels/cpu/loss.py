"""Softmax, and cross-entropies on logits, row by row. Sums are accumulated in float64: there may be many classes."""

from __future__ import annotations

import math
from math import prod

import numpy as np
from numpy import ndarray

from ..registry import accelerates, floats, is_floating
from .machine.prebound import ParallelLoop, share
from .machine.threads import inner
from .machine.transcendental import exp

_MATRIX = 2


def _rows(x: ndarray) -> ndarray:
    return x if x.ndim == _MATRIX else x.reshape(prod(x.shape[:-1]), x.shape[-1])


@inner
def _exponentials(p: ndarray, z: ndarray, r: int) -> tuple[float, float]:
    # p[r] = exp(z[r] - max(z[r])); returns the sum of p[r] and the maximum
    top = z.dtype.type(-np.inf)
    for k in range(z.shape[1]):
        top = z[r, k] if z[r, k] > top else top
    total = 0.0
    for k in range(z.shape[1]):
        p[r, k] = exp(z[r, k] - top)
    for k in range(z.shape[1]):
        total += p[r, k]
    return z.dtype.type(total), top


@ParallelLoop
def _softmax(worker, workers, y, x):  # type: ignore[no-untyped-def]
    for r in share(len(x), worker, workers):
        total, _ = _exponentials(y, x, r)
        for k in range(x.shape[1]):
            y[r, k] /= total


def _all_floats(*arrays: ndarray) -> bool:
    return floats(*arrays) and all(is_floating(a.dtype) for a in arrays)


@accelerates("softmax", device="cpu", supports=_all_floats)
def softmax(y: ndarray, x: ndarray) -> None:
    """Compute exp(x) / sum(exp(x)) over the last axis, shifted by the maximum so that nothing overflows."""
    _softmax(x.size << 2, _rows(y), _rows(x))


@ParallelLoop
def _cross_entropy(worker, workers, loss, p, z, t):  # type: ignore[no-untyped-def]
    for r in share(len(z), worker, workers):
        total, top = _exponentials(p, z, r)
        log_total = loss.dtype.type(math.log(total))
        terms = 0.0
        for k in range(z.shape[1]):
            terms -= t[r, k] * (z[r, k] - top - log_total)
            p[r, k] /= total
        loss[r] = terms


@accelerates("softmax_cross_entropy", device="cpu", supports=_all_floats)
def softmax_cross_entropy(loss: ndarray, p: ndarray, z: ndarray, t: ndarray) -> None:
    """Compute p = softmax(z) and -sum(t * log(p)) per row: z, t (..., C) -> loss (...), p (..., C)."""
    _cross_entropy(z.size << 2, loss.reshape(-1), _rows(p), _rows(z), _rows(t))


@ParallelLoop
def _cross_entropy_grad(worker, workers, dz, g, p, t):  # type: ignore[no-untyped-def]
    for r in share(len(p), worker, workers):
        terms = 0.0
        for k in range(t.shape[1]):
            terms += t[r, k]
        mass = t.dtype.type(terms)
        for k in range(t.shape[1]):
            dz[r, k] = g[r] * (p[r, k] * mass - t[r, k])


@accelerates("softmax_cross_entropy_grad", device="cpu")
def softmax_cross_entropy_grad(dz: ndarray, g: ndarray, p: ndarray, t: ndarray) -> None:
    """Compute dz = g * (p * sum(t) - t) per row: g (...), p, t (..., C) -> dz (..., C)."""
    _cross_entropy_grad(dz.size, _rows(dz), g.reshape(-1), _rows(p), _rows(t))


@ParallelLoop
def _sparse_cross_entropy(worker, workers, loss, p, z, labels):  # type: ignore[no-untyped-def]
    for r in share(len(z), worker, workers):
        total, top = _exponentials(p, z, r)
        label = labels[r]
        loss[r] = np.nan
        if 0 <= label < z.shape[1]:
            loss[r] = loss.dtype.type(math.log(total)) - (z[r, label] - top)
        for k in range(z.shape[1]):
            p[r, k] /= total


@accelerates("sparse_softmax_cross_entropy", device="cpu")
def sparse_softmax_cross_entropy(loss: ndarray, p: ndarray, z: ndarray, labels: ndarray) -> None:
    """Compute p = softmax(z) and -log(p[label]) per row: z (..., C), labels (...) -> loss (...), p (..., C).

    A label outside 0 <= label < C makes the loss of its row NaN.

    Example:
        >>> loss, p = np.empty(2), np.empty((2, 2))
        >>> sparse_softmax_cross_entropy(loss, p, np.zeros((2, 2)), np.array([1, 2]))
        >>> loss.round(3), p[0]
        (array([0.693,   nan]), array([0.5, 0.5]))
    """
    _sparse_cross_entropy(z.size << 2, loss.reshape(-1), _rows(p), _rows(z), labels.reshape(-1))


@ParallelLoop
def _sparse_cross_entropy_grad(worker, workers, dz, g, p, labels):  # type: ignore[no-untyped-def]
    for r in share(len(p), worker, workers):
        label = labels[r]
        factor = g[r] if 0 <= label < p.shape[1] else g.dtype.type(np.nan)
        for k in range(p.shape[1]):
            dz[r, k] = factor * p[r, k]
        if 0 <= label < p.shape[1]:
            dz[r, label] = factor * (p[r, label] - g.dtype.type(1))


@accelerates("sparse_softmax_cross_entropy_grad", device="cpu")
def sparse_softmax_cross_entropy_grad(dz: ndarray, g: ndarray, p: ndarray, labels: ndarray) -> None:
    """Compute dz = g * (p - onehot(label)) per row: g, labels (...), p (..., C) -> dz (..., C).

    A label outside 0 <= label < C makes its row NaN.
    """
    _sparse_cross_entropy_grad(dz.size, _rows(dz), g.reshape(-1), _rows(p), labels.reshape(-1))
