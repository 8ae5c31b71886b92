"""Random numbers have the distributions that they are said to have: distances of distribution functions, by seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import random

COUNT = 40_000
FAR = 1.95 / COUNT**0.5  # a larger distance has a probability of 0.001 (Kolmogorov and Smirnov)


def normal(x: float) -> float:
    return 0.5 * math.erfc(-x / 2**0.5)


def erlang(alpha: int) -> Callable[[float], float]:
    return lambda x: 1 - math.exp(-x) * sum(x**k / math.factorial(k) for k in range(alpha))


CONTINUOUS: dict[str, tuple[Callable[..., Any], Callable[[float], float]]] = {
    "truncated_normal": (random.truncated_normal, lambda x: (normal(x) - normal(-2)) / (normal(2) - normal(-2))),
    "gamma, 0.5": (lambda shape, seed: random.gamma(shape, 0.5, seed=seed), lambda x: math.erf(x**0.5)),
    "gamma, 1": (lambda shape, seed: random.gamma(shape, 1.0, seed=seed), erlang(1)),
    "gamma, 4": (lambda shape, seed: random.gamma(shape, 4.0, seed=seed), erlang(4)),
    "beta, 0.5": (
        lambda shape, seed: random.beta(shape, 0.5, 0.5, seed=seed),
        lambda x: 2 / math.pi * math.asin(min(x, 1.0) ** 0.5),
    ),
    "beta, 2, 3": (
        lambda shape, seed: random.beta(shape, 2.0, 3.0, seed=seed),
        lambda x: x**2 * (6 - 8 * x + 3 * x**2),
    ),
}


def distance(numbers: np.ndarray, function: Callable[[float], float]) -> float:
    """Return how far the share of numbers up to each is from a distribution function."""
    expected = np.array([function(x) for x in np.sort(numbers).tolist()])
    places = np.arange(1, len(numbers) + 1) / len(numbers)
    return float(np.max(np.abs(places - expected)))


@pytest.mark.parametrize("case", CONTINUOUS)
def test_continuous_distributions(case: str) -> None:
    draw, function = CONTINUOUS[case]
    assert distance(draw((COUNT,), seed=3).numpy(), function) < FAR


def test_distances_tell_distributions_apart() -> None:
    assert distance(random.gamma((COUNT,), 1.1, seed=3).numpy(), erlang(1)) > FAR


@pytest.mark.parametrize(("trials", "chance"), [(6, 0.3), (60, 0.05), (900, 0.7)])
def test_binomial_distributions(trials: int, chance: float) -> None:
    numbers = random.binomial((COUNT,), trials, chance, seed=4).numpy()
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(chance) + (trials - k) * math.log(1 - chance)
        for k in range(trials + 1)
    ]  # fmt: skip
    expected = np.cumsum(np.exp(logs))
    shares = np.searchsorted(np.sort(numbers), np.arange(trials + 1), side="right") / COUNT
    assert np.max(np.abs(shares - expected)) < FAR


def test_binomial_limits() -> None:
    counts, chances = np.array([0.0, 5.0, 500.0, 500.0]), np.array([0.5, 1.0, 0.0, 1.0])
    assert random.binomial((3, 4), counts, chances, seed=1).numpy().tolist() == [[0, 5, 0, 500]] * 3
    on_device = gpudl.convert_to_tensor(np.float32(300))
    assert abs(float(random.binomial((2000,), on_device, 0.5, seed=1).numpy().mean()) - 150) < 1


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64"])
def test_integers_are_equally_likely(dtype: str) -> None:
    numbers = random.randint((COUNT,), 3, 13, dtype, seed=5).numpy()
    assert numbers.dtype == dtype
    counts = np.bincount(numbers, minlength=13)
    assert not counts[:3].any()
    assert np.sum((counts[3:] - COUNT / 10) ** 2) / (COUNT / 10) < 28  # chi-square, 9 degrees of freedom: 0.001


def test_categories_have_their_probabilities() -> None:
    chances = np.array([[0.1, 0.2, 0.7], [0.5, 0.0, 0.5]])
    with np.errstate(divide="ignore"):
        drawn = random.categorical(np.log(chances).astype(np.float32), COUNT, seed=6)
    assert drawn.shape == (2, COUNT)
    assert drawn.dtype == "int32"
    for row, expected in zip(drawn.numpy(), chances, strict=True):
        assert np.bincount(row, minlength=3) / COUNT == pytest.approx(expected, abs=4 * 0.5 / COUNT**0.5)


def test_orders_are_equally_likely() -> None:
    keys = random.SeedGenerator(7)
    rows = [tuple(random.shuffle(np.arange(3), seed=keys).numpy().tolist()) for _ in range(600)]
    counts = [rows.count(order) for order in set(rows)]
    assert len(counts) == 6
    assert sum((c - 100) ** 2 for c in counts) / 100 < 20.5  # 5 degrees of freedom: 0.001
    x = np.arange(12).reshape(3, 4)
    assert sorted(map(tuple, random.shuffle(x, axis=1, seed=1).numpy().T.tolist())) == sorted(map(tuple, x.T.tolist()))


DRAWS: dict[str, Callable[[random.SeedGenerator], Any]] = {
    "truncated_normal": lambda seed: random.truncated_normal((5,), seed=seed),
    "gamma": lambda seed: random.gamma((5,), 0.5, seed=seed),
    "beta": lambda seed: random.beta((5,), 1.0, 2.0, seed=seed),
    "binomial": lambda seed: random.binomial((5,), 40, 0.5, seed=seed),
    "randint": lambda seed: random.randint((5,), 0, 100, seed=seed),
    "categorical": lambda seed: random.categorical(np.zeros((1, 50), "float32"), 5, seed=seed),
    "shuffle": lambda seed: random.shuffle(np.arange(20), seed=seed),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_replayed_step_draws_on(name: str) -> None:
    eager, recorded = random.SeedGenerator(9), random.SeedGenerator(9)
    step = gpudl.traced(lambda: DRAWS[name](recorded))
    rows = [step().numpy().tolist() for _ in range(3)]
    assert rows == [DRAWS[name](eager).numpy().tolist() for _ in range(3)]
    assert rows[1] != rows[2]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"^random.randint: dtype must be an integer type, got 'float32'\.$"):
        random.randint((2,), 0, 3, "float32")
    with pytest.raises(ValueError, match=r"needs logits \(batch, classes\), got shape \(3,\)\.$"):
        random.categorical(np.zeros(3), 2)
    with pytest.raises(ValueError, match=r"^random.gamma: shape must be a tuple of integers, got 3\.$"):
        random.gamma(3, 1.0)
