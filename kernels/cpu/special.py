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
def _erf(z: np.float32) -> np.float32:
    # Cody's rational functions (Math. Comp. 23, 1969), both of which are computed for a vector, and chosen from.
    size = f4(4) if abs(z) > f4(4) else abs(z)  # where 1 - erf is less than half an ulp
    near = f4(0.46875) if size > f4(0.46875) else size
    s = near * near
    p = f4(1.85777706184603153e-1) * s + f4(3.16112374387056560)
    p = p * s + f4(1.13864154151050156e2)
    p = p * s + f4(3.77485237685302021e2)
    p = p * s + f4(3.20937758913846947e3)
    q = s + f4(2.36012909523441209e1)
    q = q * s + f4(2.44024637934444173e2)
    q = q * s + f4(1.28261652607737228e3)
    q = q * s + f4(2.84423683343917062e3)
    small = near * (p / q)
    p = f4(2.15311535474403846e-8) * size + f4(5.64188496988670089e-1)
    p = p * size + f4(8.88314979438837594)
    p = p * size + f4(6.61191906371416295e1)
    p = p * size + f4(2.98635138197400131e2)
    p = p * size + f4(8.81952221241769090e2)
    p = p * size + f4(1.71204761263407058e3)
    p = p * size + f4(2.05107837782607147e3)
    p = p * size + f4(1.23033935479799725e3)
    q = size + f4(1.57449261107098347e1)
    q = q * size + f4(1.17693950891312499e2)
    q = q * size + f4(5.37181101862009858e2)
    q = q * size + f4(1.62138957456669019e3)
    q = q * size + f4(3.29079923573345963e3)
    q = q * size + f4(4.36261909014324716e3)
    q = q * size + f4(3.43936767414372164e3)
    q = q * size + f4(1.23033935480374942e3)
    large = f4(1) - exp(-size * size) * (p / q)
    value = small if size <= f4(0.46875) else large
    return -value if z < f4(0) else value


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
