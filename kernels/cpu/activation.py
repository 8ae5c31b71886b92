"""Bias and activation in one pass, and their gradients."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from ..registry import accelerates, floats
from .machine.prebound import ParallelLoop, share
from .machine.threads import BLOCK, piece, pieces
from .machine.transcendental import exp, tanh

_CODES = {"linear": 0, "relu": 1, "sigmoid": 2, "tanh": 3}
_LINEAR, _RELU, _SIGMOID, _TANH = _CODES.values()


def known(*arrays: ndarray, activation: str) -> bool:
    """Accept `floats` and an activation that has a kernel."""
    return floats(*arrays) and activation in _CODES


def _fits(y: ndarray, x: ndarray, b: ndarray, *, activation: str) -> bool:
    return known(y, x, b, activation=activation) and b.ndim == 1 and x.ndim > 0


@ParallelLoop
def _bias_activation(worker, workers, y, x, b, code, together):  # type: ignore[no-untyped-def]
    # x, y (rows * C,), b (C,). The bias is added first, to `together` rows at a time: the activation then works on
    # many consecutive elements, still in the cache, however few channels there are.
    zero, one = y.dtype.type(0), y.dtype.type(1)
    length = together * b.size
    for block in share((x.size + length - 1) // length, worker, workers):
        first, last = np.uintp(block * length), np.uintp(min((block + 1) * length, x.size))
        for row in range(first, last, np.uintp(b.size)):
            for k in range(np.uintp(b.size)):
                y[row + k] = x[row + k] + b[k]
        if code == _RELU:
            for k in range(first, last):
                y[k] = zero if y[k] <= zero else y[k]  # a NaN is not <= 0 and stays
        elif code == _SIGMOID:
            for k in range(first, last):
                e = exp(-abs(y[k]))  # cannot overflow
                y[k] = (one if y[k] >= zero else e) / (one + e)
        elif code == _TANH:
            for k in range(first, last):
                y[k] = tanh(y[k])


@accelerates("bias_activation", device="cpu", supports=_fits)
def bias_activation(y: ndarray, x: ndarray, b: ndarray, *, activation: str) -> None:
    """Compute y = activation(x + b): x (..., C), b (C,) -> y (..., C).

    Example:
        >>> y = np.empty((1, 2))
        >>> bias_activation(y, np.array([[1.0, -3.0]]), np.array([1.0, 2.0]), activation="relu")
        >>> y
        array([[2., 0.]])
    """
    if x.size:
        code = _CODES[activation]
        work = x.size << 2 if code in (_SIGMOID, _TANH) else x.size
        _bias_activation(work, y.reshape(-1), x.reshape(-1), b, code, max(BLOCK // b.size, 1))


@ParallelLoop
def _activation_grad(worker, workers, dx, g, y, code):  # type: ignore[no-untyped-def]
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for block in share(pieces(dx.size), worker, workers):
        first, last = piece(block, dx.size)
        if code == _LINEAR:
            for k in range(first, last):
                dx[k] = g[k]
        elif code == _RELU:
            for k in range(first, last):
                dx[k] = g[k] * (one if y[k] > zero else zero)
        elif code == _SIGMOID:
            for k in range(first, last):
                dx[k] = g[k] * y[k] * (one - y[k])
        else:
            for k in range(first, last):
                dx[k] = g[k] * (one - y[k] * y[k])


@accelerates("activation_grad", device="cpu", supports=known)
def activation_grad(dx: ndarray, g: ndarray, y: ndarray, *, activation: str) -> None:
    """Compute dx = g * activation'(x) from the activation's result `y`; all arrays have the same shape."""
    _activation_grad(dx.size, dx.reshape(-1), g.reshape(-1), y.reshape(-1), _CODES[activation])
