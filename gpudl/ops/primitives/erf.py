"""The error function, its complement and its inverse, which neither NumPy nor CuPy has."""

from __future__ import annotations

import math
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


# For erfc beyond 4, in 1 / x**2.
_ERFC_TAIL = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242,
        1.87295284992346725,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)


def erfc(xp: ModuleType, z: Array) -> Array:
    """Return 1 - erf(z), accurate where erf is nearly 1; the source is that of `erf`."""
    number = z.dtype.type
    size = xp.minimum(xp.absolute(z), number(30))  # beyond which it is 0
    near = xp.minimum(size, number(0.46875))
    mid = xp.clip(size, number(0.46875), number(4))
    far = xp.maximum(size, number(4))
    # exp(-size**2) without the rounding of the square: its leading digits are exact.
    leading = xp.trunc(size * number(16)) / number(16)
    bell = xp.exp(-leading * leading) * xp.exp(-(size - leading) * (size + leading))
    inverse = 1 / (far * far)
    tail = (number(math.pi**-0.5) - inverse * _rational(inverse, _ERFC_TAIL)) / far
    beyond = bell * xp.where(size <= number(4), _rational(mid, _ERF_LARGE), tail)
    result = xp.where(size <= near, 1 - near * _rational(near * near, _ERF_SMALL), beyond)
    return xp.where(z < 0, 2 - result, result)


# Numerators and denominators, highest power first, of the three rational functions in `erfinv`.
_CENTRAL = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
_OUTER = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258,
        3.64784832476320460504,
        5.76949722146069140550,
        4.63033784615654529590,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940,
        2.05319162663775882187,
        1.0,
    ),
)
_OUTERMOST = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580,
        5.46378491116411436990,
        6.65790464350110377720,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


def erfinv(xp: ModuleType, z: Array) -> Array:
    """Return the number whose error function is z, from -1, where it is -inf, to 1; NaN beyond.

    Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Appl. Statist. 37, 1988.
    """
    number = z.dtype.type
    half = z * number(0.5)
    central = half * _rational(number(0.180625) - xp.minimum(half * half, number(0.180625)), _CENTRAL)
    tail = xp.clip(number(0.5) - xp.absolute(half), number(xp.finfo(z.dtype).tiny), number(0.5))
    root = xp.sqrt(-xp.log(tail))
    outer = _rational(xp.minimum(root, number(5)) - number(1.6), _OUTER)
    outermost = _rational(root - number(5), _OUTERMOST)
    ends = xp.where(root <= number(5), outer, outermost) * xp.sign(z)
    result = xp.where(xp.absolute(half) <= number(0.425), central, ends) * number(0.5**0.5)
    result = xp.where(z == 1, number(math.inf), xp.where(z == -1, number(-math.inf), result))
    return xp.where(xp.absolute(z) > 1, number(math.nan), result)
