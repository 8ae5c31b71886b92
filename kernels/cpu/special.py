"""The error function, which neither NumPy nor the interpreter of fused ops has, and GELU, which contains it."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from ..registry import accelerates, floats
from .machine.prebound import ParallelLoop, share
from .machine.threads import inner, piece, pieces
from .machine.transcendental import exp

f4 = np.float32
_ROOT, _DENSITY = f4(0.5**0.5), f4((2 * np.pi) ** -0.5)


@inner
def _erf(x: np.float32) -> np.float32:
    # x * P(x^2) / Q(x^2), whose relative error in exact numbers is at most 2.1e-9 where |x| <= 4 (a least squares fit
    # with weights that grow with the error); beyond, 1 - |erf| is less than half an ulp. Rounding makes it 3.4e-7.
    z = f4(4) if x > f4(4) else f4(-4) if x < f4(-4) else x
    s = z * z
    p = f4(-1.320230423923259e-08) * s + f4(4.6847922664004095e-06)
    p = p * s + f4(3.796093926822476e-04)
    p = p * s + f4(3.849611835783512e-03)
    p = p * s + f4(5.431692013074749e-02)
    p = p * s + f4(1.8520318308482286e-01)
    p = p * s + f4(1.128379169377991)
    q = f4(6.311071944113705e-05) * s + f4(1.3075706486794132e-03)
    q = q * s + f4(1.5462092164079198e-02)
    q = q * s + f4(1.1395841246305438e-01)
    q = q * s + f4(4.974654613794371e-01)
    q = q * s + f4(1)
    y = z * (p / q)
    return f4(1) if y > f4(1) else f4(-1) if y < f4(-1) else y


@ParallelLoop
def _errors(worker, workers, y, x):  # type: ignore[no-untyped-def]
    for block in share(pieces(x.size), worker, workers):
        first, last = piece(block, x.size)
        for k in range(first, last):
            y[k] = _erf(x[k])


def _single(y: ndarray, x: ndarray) -> bool:
    """Accept C-contiguous float32."""
    return floats(y, x) and y.dtype == x.dtype == np.float32


@accelerates("erf", device="cpu", supports=_single)
def erf(y: ndarray, x: ndarray) -> None:
    """Compute y = erf(x)."""
    _errors(x.size << 3, y.reshape(-1), x.reshape(-1))


@ParallelLoop
def _gelu(worker, workers, y, x):  # type: ignore[no-untyped-def]
    for block in share(pieces(x.size), worker, workers):
        first, last = piece(block, x.size)
        for k in range(first, last):
            y[k] = (_erf(x[k] * _ROOT) + f4(1)) * x[k] * f4(0.5)


@accelerates("gelu", device="cpu", supports=_single)
def gelu(y: ndarray, x: ndarray) -> None:
    """Compute y = x * (1 + erf(x / sqrt(2))) / 2."""
    _gelu(x.size << 3, y.reshape(-1), x.reshape(-1))


@ParallelLoop
def _gelu_grad(worker, workers, dx, g, x):  # type: ignore[no-untyped-def]
    for block in share(pieces(x.size), worker, workers):
        first, last = piece(block, x.size)
        for k in range(first, last):
            square = x[k] * x[k] * f4(0.5)
            square = f4(80) if square > f4(80) else square  # beyond, exponentials are nearly subnormal, and slow
            slope = (_erf(x[k] * _ROOT) + f4(1)) * f4(0.5) + exp(-square) * x[k] * _DENSITY
            dx[k] = slope * g[k]


def _singles(dx: ndarray, g: ndarray, x: ndarray) -> bool:
    """Accept C-contiguous float32."""
    return _single(dx, x) and _single(g, x)


@accelerates("gelu_grad", device="cpu", supports=_singles)
def gelu_grad(dx: ndarray, g: ndarray, x: ndarray) -> None:
    """Compute dx = g * gelu'(x); all arrays have the same shape."""
    _gelu_grad(x.size << 4, dx.reshape(-1), g.reshape(-1), x.reshape(-1))
