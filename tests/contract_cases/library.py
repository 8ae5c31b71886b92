"""Cases of the functions of NumPy's library, and of the special functions: the oracles are those of `math`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from contract_cases.contract import SHAPES, Contract, Rng, Sample, elementwise, near, normal, positive, random_shape
from contract_cases.elementwise import INF, LIBRARY, NAN, PAIRS, binary, over_numbers, random_pair, unary, wrong_pair

_BOOLS = Sample((np.array([True, False]),))
_REMAINDERS = Sample((np.array([7, -7, 5], np.int32), np.array([3, 3, -2], np.int32)))
_LARGE = Sample((np.array([29.5, -31.0, 80.0], np.float32),), smooth=False, result="float32")
_ORIGIN = Sample((np.array([0.0, -0.0, INF, NAN, 3.0]), np.array([-1.0, -2.0, -INF, 1.0, 0.0])), smooth=False)
_MISSING = Sample((np.array([NAN, 1.0, NAN, 2.0, -INF]), np.array([1.0, NAN, NAN, 2.0, 5.0])), smooth=False)


def gapped(low: float, high: float) -> Callable[..., np.ndarray]:
    """Return a function that draws numbers away from the whole ones, where floor and its like have no slope."""
    draw = near(low, high)
    return lambda rng, *shape: np.floor(draw(rng, *shape)) + near(0.25, 0.75)(rng, *shape)


def cube_root(x: float) -> float:
    return math.copysign(abs(x) ** (1 / 3), x)


def half_even(x: float) -> float:
    return float(round(x)) if math.isfinite(x) else x


def sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def kept(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return a function that gives whole floats, and infinities and NaN back."""
    return lambda x: float(function(x)) if math.isfinite(x) else x


def bessel(x: float, order: int) -> float:
    """Return the sum of the series, in integers of many digits."""
    scale, total, term = 10**60, 0, 10**60
    quarter = int(x * x / 4 * 2**60)
    for k in range(1, 400):
        total += term
        term = term * quarter // (k * (k + order) * 2**60)
    return total / scale * ((x / 2) ** order)


def inverse_of_erf(x: float) -> float:
    if math.isnan(x):
        return x
    low, high = 0.0, 6.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < abs(x) else (low, middle)
    return math.copysign(low, x)


def stepped(op: str, function: Callable[[float], float], *special: float, widens: bool = True) -> Contract:
    return unary(op, kept(function), gapped(-4, 4), special=(*special, NAN, INF, -INF), widens=widens)


def rounding(rng: Rng, shape: tuple[int, ...], decimals: int) -> Sample:
    return Sample((near(-20, 20)(rng, *shape),), {"decimals": decimals}, smooth=False)


INNER = near(-0.9, 0.9)
DEFAULT = {"roundings": LIBRARY, "widens": True}

CONTRACTS = [
    unary("tan", math.tan, near(-1.25, 1.25), special=(0.0, NAN), **DEFAULT),
    unary("arcsin", math.asin, INNER, special=(0.0, 1.0, NAN), roundings=LIBRARY),
    unary("arccos", math.acos, INNER, special=(0.0, -1.0, NAN), roundings=LIBRARY),
    unary("arctan", math.atan, special=(0.0, INF, -INF, NAN), **DEFAULT),
    unary("sinh", math.sinh, special=(0.0, INF, -INF, NAN), **DEFAULT),
    unary("cosh", math.cosh, special=(0.0, INF, -INF, NAN), **DEFAULT),
    unary("arcsinh", math.asinh, special=(0.0, INF, -INF, NAN), **DEFAULT),
    unary("arccosh", math.acosh, near(1.125, 3), special=(1.0, INF, NAN), **DEFAULT),
    unary("arctanh", math.atanh, INNER, special=(0.0, 0.5, NAN), roundings=LIBRARY),
    unary("log2", math.log2, positive, special=(8.0, INF, NAN), **DEFAULT),
    unary("log10", math.log10, positive, special=(1000.0, INF, NAN), **DEFAULT),
    unary("cbrt", cube_root, positive, special=(8.0, -27.0, 0.0, INF, NAN), **DEFAULT),
    unary("exp2", lambda x: 2.0**x, special=(3.0, INF, -INF, NAN), **DEFAULT),
    unary("deg2rad", math.radians, near(-90, 90), special=(0.0, NAN), roundings=2, widens=True),
    unary("rad2deg", math.degrees, special=(0.0, NAN), roundings=2, widens=True),
    # The rounding of pi * x is as large as the angle.
    unary("sinc", sinc, near(0.05, 0.85), special=(0.0, 0.25, NAN), roundings=40),
    stepped("floor", math.floor, 2.0, -0.5),
    stepped("ceil", math.ceil, 2.0, 0.5),
    stepped("trunc", math.trunc, 2.0, -0.5, widens=False),
    Contract(
        "round",
        lambda x, decimals: elementwise(lambda v: half_even(v * 10.0**decimals) / 10.0**decimals)(x),
        rounding,
        [(shape, decimals) for shape in SHAPES for decimals in (0, 1, -1)],
        lambda rng: (random_shape(rng), 1),
        [Sample((np.ones(2, bool),), {"decimals": 0})],
        roundings=2,
    ),
    Contract(
        "signbit",
        elementwise(lambda x: math.copysign(1, x) < 0, bool),
        lambda rng, shape: shape if isinstance(shape, Sample) else Sample((normal(rng, *shape),)),
        [*((shape,) for shape in SHAPES), (_BOOLS,), (Sample((np.array([0.0, -0.0, -INF]),)),)],
        lambda rng: (random_shape(rng),),
        any_shape=True,
    ),
    binary("arctan2", math.atan2, positive, normal, extra=(_ORIGIN,), kind=np.float64, roundings=LIBRARY),
    binary("hypot", math.hypot, positive, normal, kind=np.float64, roundings=LIBRARY),
    binary("fmod", math.fmod, normal, positive, extra=(_REMAINDERS,)),
    binary("fmax", lambda a, b: b if math.isnan(a) else a if math.isnan(b) else max(a, b), extra=(_MISSING,)),
    binary("fmin", lambda a, b: b if math.isnan(a) else a if math.isnan(b) else min(a, b), extra=(_MISSING,)),
    binary(
        "heaviside",
        lambda a, b: b if a == 0 else a if math.isnan(a) else float(a > 0),
        lambda rng, *shape: rng.integers(-1, 2, shape).astype(np.float64),
        extra=(_MISSING,),
        kind=np.float64,
    ),
    binary(
        "logaddexp2",
        lambda a, b: max(a, b) + math.log1p(2 ** -abs(a - b)) / math.log(2),
        kind=np.float64,
        roundings=2 * LIBRARY,
        magnitude=lambda a, b: np.maximum(np.abs(a), np.abs(b)) + 1,  # the terms of the sum may cancel
    ),
    Contract(
        "gcd",
        over_numbers(math.gcd, float),
        lambda rng, a, b: Sample((rng.integers(-30, 30, a), rng.integers(-30, 30, b))),
        PAIRS,
        random_pair,
        [*wrong_pair(), Sample((np.ones(2, np.int32), np.ones(2)))],
    ),
    Contract(
        "lcm",
        over_numbers(math.lcm, float),
        lambda rng, a, b: Sample((rng.integers(-30, 30, a), rng.integers(-30, 30, b))),
        PAIRS,
        random_pair,
        [*wrong_pair(), Sample((np.ones(2, np.int32), np.ones(2)))],
    ),
    Contract(
        "ldexp",
        elementwise(math.ldexp),
        lambda rng, a, b: Sample((normal(rng, *a), rng.integers(-3, 4, b, np.int32))),
        PAIRS,
        random_pair,
        [Sample((np.ones((2, 3)), np.ones((2, 4), np.int32))), Sample((np.ones(2), np.ones(2)))],
        roundings=1,
    ),
    binary("nextafter", math.nextafter, kind=np.float64, dtypes=("float64",)),
    unary("erfc", math.erfc, near(-3, 5), special=(0.0, 0.25, 9.0, NAN, INF, -INF), roundings=16, widens=True),
    unary("erfinv", inverse_of_erf, near(-0.99, 0.99), special=(0.0, 0.5, NAN), roundings=16),
    unary("i0", lambda x: bessel(x, 0), near(-9, 9), special=(0.0, 8.0), roundings=8, widens=True, extra=(_LARGE,)),
    unary("i1", lambda x: bessel(x, 1), near(-9, 9), special=(0.0, 8.0), roundings=8, widens=True, extra=(_LARGE,)),
]
