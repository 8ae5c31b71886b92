"""The error function, which neither NumPy nor CuPy has."""

from __future__ import annotations

from types import ModuleType

from gpudl.backend import Array

# Numerators and denominators, highest power first, of the two rational functions in `erf`.
_ERF_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_ERF_LARGE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)


def _rational(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    values = []
    for polynomial in coefficients:
        value = x * x.dtype.type(polynomial[0])
        for c in polynomial[1:-1]:
            value = (value + x.dtype.type(c)) * x
        values.append(value + x.dtype.type(polynomial[-1]))
    return values[0] / values[1]


def erf(xp: ModuleType, z: Array) -> Array:
    """Return 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to z.

    Source: Cody, "Rational Chebyshev approximation for the error function", Math. Comp. 23, 1969.
    """
    size = xp.minimum(xp.absolute(z), z.dtype.type(6))  # where 1 - erf is less than half an ulp of float64
    near = xp.minimum(size, z.dtype.type(0.46875))
    small = near * _rational(near * near, _ERF_SMALL)
    large = 1 - xp.exp(-size * size) * _rational(size, _ERF_LARGE)
    return xp.where(size <= near, small, large) * xp.sign(z)
