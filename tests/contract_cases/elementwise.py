"""Cases of the elementwise ops: the oracles are Python's own operators and `math`, number by number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from contract_cases.contract import (
    ALL,
    SHAPES,
    Contract,
    Rng,
    Sample,
    elementwise,
    long_shape,
    near,
    normal,
    positive,
    random_shape,
)

NAN, INF = math.nan, math.inf
LIBRARY = 4  # NumPy documents its vectorised functions to four units in the last place

PAIRS = (
    ((), ()),
    ((3,), ()),
    ((2, 1, 3), (4, 1)),
    ((0, 3), (3,)),
    ((2, 3, 4), (2, 3, 4)),
    ((1, 1), (1,)),
    ((5, 1), (1, 6)),
)


def random_pair(rng: Rng) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return two shapes that broadcast."""
    full = random_shape(rng)

    def thin(shape: tuple[int, ...]) -> tuple[int, ...]:
        kept = tuple(1 if rng.random() < 0.3 else n for n in shape)
        return kept[int(rng.integers(0, len(kept) + 1)) :] if rng.random() < 0.3 else kept

    return full, thin(full)


def wrong_pair(*more: np.ndarray) -> list[Sample]:
    return [Sample((*more, np.ones((2, 3)), np.ones((2, 4))))]


def unary(
    op: str,
    oracle: Callable[[float], float],
    draw: Any = normal,
    special: tuple[float, ...] = (),
    widens: bool = False,
    extra: Sequence[Sample] = (),
    **options: Any,
) -> Contract:
    """Return the contract of a function of one array.

    `special` numbers make a sample of their own, integers another one where the op `widens` them, and there are
    `extra` ones.
    """
    more = list(extra)
    if special:
        more.append(Sample((np.array(special),), smooth=False))
    if widens:
        more.append(Sample((np.arange(1, 7).reshape(2, 3),), result="float32"))

    def make(rng: Rng, shape: Any) -> Sample:
        return shape if isinstance(shape, Sample) else Sample((draw(rng, *shape),))

    settings = [(shape,) for shape in (*SHAPES, *more)]
    options = {"any_shape": True, **options}
    return Contract(op, elementwise(oracle), make, settings, lambda rng: (random_shape(rng),), **options)


def binary(
    op: str,
    oracle: Callable[[float, float], float],
    draw_a: Any = normal,
    draw_b: Any = normal,
    extra: Sequence[Sample] = (),
    kind: type = float,
    **options: Any,
) -> Contract:
    """Return the contract of a function of two arrays with `extra` samples; `kind` is the type of its result."""

    def make(rng: Rng, a: Any, b: Any = ()) -> Sample:
        return a if isinstance(a, Sample) else Sample((draw_a(rng, *a), draw_b(rng, *b)))

    settings = [*PAIRS, *((sample,) for sample in extra)]
    return Contract(op, over_numbers(oracle, kind), make, settings, random_pair, wrong_pair(), **options)


def over_numbers(function: Callable[..., Any], kind: type) -> Callable[..., np.ndarray]:
    """Return an oracle over broadcast arrays whose floats are integers where all inputs are."""

    def oracle(*arrays: np.ndarray) -> np.ndarray:
        whole = kind is float and all(a.dtype.kind in "iu" for a in arrays)
        return elementwise(function, np.result_type(*arrays).type if whole else kind)(*arrays)

    return oracle


_FLOATS, _WHOLE = np.array([[1.5, -2.0], [3.0, 4.0]]), np.array([5, -6], np.int64)
INTEGERS = Sample((np.array([[1, -2], [3, 4]], np.int32), np.array([5, -6], np.int32)))
QUOTIENT = Sample(INTEGERS.inputs, result="float32")
MIXED = Sample((_FLOATS, _WHOLE), smooth=False)
SQUARES = Sample((_FLOATS, np.array([2.0, 3.0])), wrt=(0,))
SIGNS = Sample((np.array([5.5, -5.5, 5.5, -5.5]), np.array([2.0, 2.0, -2.0, -2.0])), smooth=False)
TIES = Sample((np.array([1.0, 2.0, NAN, 3.0, INF, -INF]), np.array([1.0, 3.0, 1.0, NAN, -INF, INF])), smooth=False)
EQUALS = Sample(
    (np.array([1.0, INF, -INF, -INF, NAN, 900.0]), np.array([1.0, INF, -INF, 2.0, 1.0, 901.0])), smooth=False
)


def larger(a: float, b: float) -> float:
    return a if math.isnan(a) or a >= b else b


def added_exponentials(a: float, b: float) -> float:
    top = max(a, b)
    return a + b if math.isnan(a + b) and a != b else top + math.log1p(math.exp(min(a, b) - top) if a != b else 1)


def smaller(a: float, b: float) -> float:
    return a if math.isnan(a) or a <= b else b


def where_make(rng: Rng, c: Any, a: Any, b: Any) -> Sample:
    return Sample((rng.random(c) < 0.5, normal(rng, *a), normal(rng, *b)))


def cast_make(rng: Rng, shape: tuple[int, ...], dtype: str) -> Sample:
    values = near(0, 9)(rng, *shape)
    return Sample((values,), {"dtype": dtype}, result=dtype, smooth=dtype == "float64")


def cast_oracle(x: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "int32":
        return np.array([math.trunc(v) for v in x.ravel()], np.int32).reshape(x.shape)
    if dtype == "bool":
        return np.array([v != 0 for v in x.ravel()], bool).reshape(x.shape)
    return x


def clip_make(rng: Rng, shape: Any) -> Sample:
    limits = {"low": -1.0, "high": 0.5}
    if shape is None:
        return Sample((np.array([-1.0, 0.5, NAN, INF, -INF]),), limits, smooth=False)
    return Sample((normal(rng, *shape),), limits)


def clip(x: np.ndarray, low: float, high: float) -> np.ndarray:
    return elementwise(lambda v: low if v < low else high if v > high else v)(x)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "relu": lambda x: x if x > 0 or math.isnan(x) else 0.0,
    "sigmoid": sigmoid,
    "tanh": math.tanh,
}
SLOPES: dict[str, Callable[[float], float]] = {
    "linear": lambda y: 1.0,
    "relu": lambda y: 1.0 if y > 0 else 0.0,
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: (1 - y) * (1 + y),
}


def activation_grad_make(rng: Rng, shape: Any, activation: str) -> Sample:
    return Sample((normal(rng, *shape), near(0.05, 0.95)(rng, *shape)), {"activation": activation})


def bias_make(rng: Rng, shape: Any, activation: str) -> Sample:
    return Sample((normal(rng, *shape), normal(rng, shape[-1])), {"activation": activation})


def one_of_activations(rng: Rng) -> tuple[Any, ...]:
    return long_shape(rng), str(rng.choice(list(ACTIVATIONS)))


WITH_ACTIVATION = [(shape, name) for name in ACTIVATIONS for shape in ((2, 3), (1, 1, 5), (0, 4), (3,), (2, 5, 1))]

CONTRACTS = [
    binary("add", lambda a, b: a + b, extra=(INTEGERS, MIXED), roundings=1),
    binary("subtract", lambda a, b: a - b, extra=(INTEGERS, MIXED), roundings=1),
    binary("multiply", lambda a, b: a * b, extra=(INTEGERS, MIXED), roundings=1),
    binary("divide", lambda a, b: a / b, draw_b=positive, extra=(QUOTIENT, MIXED), kind=np.float64, roundings=1),
    binary("floor_divide", lambda a, b: a // b, draw_b=positive, extra=(INTEGERS, MIXED, SIGNS)),
    binary(
        "mod",
        lambda a, b: a % b,
        draw_b=positive,
        extra=(INTEGERS, MIXED, SIGNS),
        roundings=1,
        magnitude=lambda a, b: np.broadcast_arrays(a, b)[1],
    ),
    binary("power", lambda a, b: a**b, draw_a=positive, extra=(SQUARES,), roundings=LIBRARY),
    binary("logaddexp", added_exponentials, extra=(QUOTIENT, EQUALS), kind=np.float64, roundings=2 * LIBRARY),
    binary("maximum", larger, extra=(INTEGERS, TIES)),
    binary("minimum", smaller, extra=(INTEGERS, TIES)),
    binary("equal", lambda a, b: a == b, extra=(INTEGERS, TIES), kind=bool),
    binary("not_equal", lambda a, b: a != b, extra=(INTEGERS, TIES), kind=bool),
    binary("greater", lambda a, b: a > b, extra=(INTEGERS, TIES), kind=bool),
    binary("greater_equal", lambda a, b: a >= b, extra=(INTEGERS, TIES), kind=bool),
    binary("less", lambda a, b: a < b, extra=(INTEGERS, TIES), kind=bool),
    binary("less_equal", lambda a, b: a <= b, extra=(INTEGERS, TIES), kind=bool),
    unary("negative", lambda x: -x, special=(0.0, NAN, INF)),
    unary("reciprocal", lambda x: 1 / x, positive, special=(-4.0, NAN, INF, -INF), roundings=1, widens=True),
    unary("absolute", abs, special=(0.0, NAN, -INF)),
    unary("sign", lambda x: x if math.isnan(x) else (x > 0) - (x < 0), special=(0.0, NAN, -INF)),
    unary("square", lambda x: x * x, special=(0.0, NAN, -INF), roundings=1),
    unary("sqrt", math.sqrt, positive, special=(0.0, NAN, INF), roundings=1, widens=True),
    unary("rsqrt", lambda x: 1 / math.sqrt(x), positive, special=(4.0, NAN, INF), roundings=2, widens=True),
    unary("exp", math.exp, special=(0.0, NAN, INF, -INF), roundings=LIBRARY, widens=True),
    unary("log", math.log, positive, special=(1.0, NAN, INF), roundings=LIBRARY, widens=True),
    unary("log1p", math.log1p, near(-0.5, 2), special=(0.0, 1e-4, NAN, INF), roundings=LIBRARY, widens=True),
    unary("expm1", math.expm1, special=(0.0, 1e-4, NAN, -INF), roundings=LIBRARY, widens=True),
    # A rational function of degree 8 and an exponential, all of positive terms.
    unary("erf", math.erf, near(-3, 3), special=(0.0, 0.25, 9.0, NAN, INF, -INF), roundings=12, widens=True),
    unary("sin", math.sin, special=(0.0, 100.0, NAN), roundings=LIBRARY, widens=True),
    unary("cos", math.cos, special=(0.0, 100.0, NAN), roundings=LIBRARY, widens=True),
    unary("tanh", math.tanh, special=(0.0, 9.0, NAN, INF, -INF), roundings=LIBRARY, widens=True),
    unary("sigmoid", sigmoid, special=(0.0, 90.0, -80.0, NAN, INF, -INF), roundings=LIBRARY + 2, widens=True),
    unary("relu", ACTIVATIONS["relu"], special=(0.0, NAN, INF, -INF)),
    unary("ones_like", lambda x: 1.0),
    unary("zeros_like", lambda x: 0.0),
    Contract(
        "clip",
        clip,
        clip_make,
        [*((shape,) for shape in SHAPES), (None,)],
        lambda rng: (random_shape(rng),),
    ),
    Contract(
        "where",
        elementwise(lambda c, a, b: a if c else b),
        where_make,
        [((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), ()), ((0, 2), (2,), (1, 1)), ((), (2, 2), (2,))],
        lambda rng: (*random_pair(rng), ()),
        [*wrong_pair(np.ones((2, 3), bool)), Sample((np.ones(2), np.ones(2), np.ones(2)))],
    ),
    Contract(
        "cast",
        cast_oracle,
        cast_make,
        [((2, 3), name) for name in ("int32", "bool", *ALL)] + [((0, 2), "float32"), ((), "int32")],
        lambda rng: (random_shape(rng), "float32"),
    ),
    Contract(
        "activation_grad",
        lambda g, y, activation: elementwise(lambda g, y: g * SLOPES[activation](y))(g, y),
        activation_grad_make,
        WITH_ACTIVATION,
        one_of_activations,
        [Sample((np.ones((2, 3)), np.ones((2, 4))), {"activation": "relu"})],
        # 1 - y * y loses what the square rounds off: relative to g, not to the result.
        roundings=3,
        magnitude=lambda g, y, activation: g,
    ),
    Contract(
        "bias_activation",
        lambda x, b, activation: elementwise(lambda x, b: ACTIVATIONS[activation](x + b))(x, b),
        bias_make,
        WITH_ACTIVATION,
        one_of_activations,
        [
            Sample((np.ones((2, 3)), np.ones(4)), {"activation": "relu"}),
            Sample((np.ones((2, 3)), np.ones(3)), {"activation": "gelu"}),
        ],
        # The rounded sum enters a function whose slope is at most 1.
        roundings=LIBRARY + 1,
        magnitude=lambda x, b, activation: np.abs(x) + np.abs(b) + 1,
    ),
]
