"""Optimizer updates, each one fused pass over the weights, the gradient and the optimizer's slots.

An optimizer's hyperparameters are first cast to the dtype of the weights: a float64 among
float32 arrays would double the width of the whole loop.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from numpy import ndarray

from ..registry import accelerates
from .machine.prebound import ParallelLoop, share
from .machine.threads import piece, pieces


@ParallelLoop
def _sgd(worker, workers, w, g, lr):  # type: ignore[no-untyped-def]
    rate = lr[()]
    for block in share(pieces(w.size), worker, workers):
        first, last = piece(block, w.size)
        for k in range(first, last):
            w[k] -= rate * g[k]


@accelerates("sgd_", device="cpu")
def sgd_(w: ndarray, g: ndarray, lr: ndarray) -> None:
    """Step against the gradient: w -= lr * g. `w`, `g` have one shape, `lr` is 0-d.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0, 2.0])
        >>> sgd_(w, np.array([10.0, -10.0]), np.array(0.1))
        >>> w
        array([0., 3.])
    """
    _sgd(w.size, w.reshape(-1), g.reshape(-1), lr)


@ParallelLoop
def _sgd_momentum(worker, workers, w, m, g, lr, momentum, nesterov):  # type: ignore[no-untyped-def]
    rate, mu = lr[()], w.dtype.type(momentum)
    for block in share(pieces(w.size), worker, workers):
        first, last = piece(block, w.size)
        for k in range(first, last):
            step = rate * g[k]
            m[k] = mu * m[k] - step
            w[k] += mu * m[k] - step if nesterov else m[k]


@accelerates("sgd_momentum_", device="cpu")
def sgd_momentum_(w: ndarray, m: ndarray, g: ndarray, lr: ndarray, *, momentum: float, nesterov: bool) -> None:
    """Step with momentum as Keras's SGD: m = momentum * m - lr * g; w += m, or w += momentum * m - lr * g."""
    _sgd_momentum(w.size, w.reshape(-1), m.reshape(-1), g.reshape(-1), lr, momentum, nesterov)


@ParallelLoop
def _rmsprop(worker, workers, w, v, g, lr, rho, epsilon):  # type: ignore[no-untyped-def]
    rate, eps = lr[()], w.dtype.type(epsilon)
    old, new = w.dtype.type(rho), w.dtype.type(1 - rho)
    for block in share(pieces(w.size), worker, workers):
        first, last = piece(block, w.size)
        for k in range(first, last):
            v[k] = old * v[k] + new * (g[k] * g[k])
            w[k] -= rate * g[k] / math.sqrt(v[k] + eps)


@accelerates("rmsprop_", device="cpu")
def rmsprop_(w: ndarray, v: ndarray, g: ndarray, lr: ndarray, *, rho: float, epsilon: float) -> None:
    """Step by the gradient over its moving root mean square: v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + epsilon).

    Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012.
    """
    _rmsprop(w.size, w.reshape(-1), v.reshape(-1), g.reshape(-1), lr, rho, epsilon)


class _Adam(NamedTuple):
    beta_1: float
    beta_2: float
    epsilon: float


@ParallelLoop
def _adam(worker, workers, w, m, v, g, lr, step, numbers):  # type: ignore[no-untyped-def]
    # 1 - beta ** t loses most of its digits in float32 while t is small: these few values are float64.
    t, beta_1, beta_2, epsilon = step[()] + 1, numbers.beta_1, numbers.beta_2, numbers.epsilon
    alpha = w.dtype.type(lr[()] * math.sqrt(1 - beta_2**t) / (1 - beta_1**t))
    new_1, new_2, eps = w.dtype.type(1 - beta_1), w.dtype.type(1 - beta_2), w.dtype.type(epsilon)
    for block in share(pieces(w.size), worker, workers):
        first, last = piece(block, w.size)
        for k in range(first, last):
            mean = m[k] + (g[k] - m[k]) * new_1
            square = v[k] + (g[k] * g[k] - v[k]) * new_2
            m[k], v[k] = mean, square
            w[k] -= alpha * mean / (math.sqrt(square) + eps)


@accelerates("adam_", device="cpu")
def adam_(
    w: ndarray,
    m: ndarray,
    v: ndarray,
    g: ndarray,
    lr: ndarray,
    step: ndarray,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """Step by Adam, with the bias correction in the learning rate; `step` (0-d int64) counts finished updates.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, end of section 2.
    """
    flat = (w.reshape(-1), m.reshape(-1), v.reshape(-1), g.reshape(-1))
    _adam(w.size, *flat, lr, step, _Adam(beta_1, beta_2, epsilon))
