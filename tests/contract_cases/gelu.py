"""Cases of GELU and its gradient, from the error function of Python."""

from __future__ import annotations

import math

import numpy as np

from contract_cases.contract import SHAPES, Contract, Rng, Sample, elementwise, near, normal, random_shape

DRAW = near(-4, 4)


def share(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def slope(g: float, x: float) -> float:
    return g * (share(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def make(rng: Rng, *shape: int) -> Sample:
    return Sample((DRAW(rng, *shape),))


def backward_make(rng: Rng, *shape: int) -> Sample:
    return Sample((normal(rng, *shape), DRAW(rng, *shape)))


CONTRACTS = [
    Contract(
        "gelu",
        elementwise(lambda x: x * share(x)),
        make,
        SHAPES,
        random_shape,
        roundings=16,
        magnitude=np.abs,
        any_shape=True,
    ),
    Contract(
        "gelu_grad",
        elementwise(slope),
        backward_make,
        SHAPES,
        random_shape,
        [Sample((np.ones((2, 3)), np.ones((2, 4))))],
        roundings=20,
        magnitude=lambda g, x: np.abs(g),
    ),
]
