"""Cases of the random ops: Philox4x32-10 once more, in Python's integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from contract_cases.contract import Contract, Rng, Sample, long_shape, normal

WORD = 0xFFFFFFFF


def philox(key: np.ndarray, count: int) -> list[int]:
    """Return `count` words: element e is word e % 4 of the block with the counter (e // 4, 0, low, high)."""
    first, second, low, high = (int(v) for v in key)
    words: list[int] = []
    for block in range(-(-count // 4)):
        counter, k0, k1 = [block, 0, low, high], first, second
        for _ in range(10):
            a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
            counter = [(b >> 32) ^ counter[1] ^ k0, b & WORD, (a >> 32) ^ counter[3] ^ k1, a & WORD]
            k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
        words += counter
    return words[:count]


def draws(key: np.ndarray, count: int) -> list[float]:
    return [(word >> 8) / 2**24 for word in philox(key, count)]


def uniform(key: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.array(draws(key, math.prod(shape)), np.float64).reshape(shape)


def polar(key: np.ndarray, shape: tuple[int, ...]) -> tuple[list[float], list[float]]:
    half = -(-math.prod(shape) // 2)
    numbers = draws(key, 2 * half)
    return [math.sqrt(-2 * math.log(1 - u)) for u in numbers[:half]], [2 * math.pi * u for u in numbers[half:]]


def gauss(key: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    pairs = list(zip(*polar(key, shape), strict=True))
    both = [r * math.cos(a) for r, a in pairs] + [r * math.sin(a) for r, a in pairs]
    return np.array(both[: math.prod(shape)], np.float64).reshape(shape)


def gauss_size(key: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the radius: an error of the angle, at most 2 pi, moves the result by that much of it."""
    radius, _ = polar(key, shape)
    return np.array((radius * 2)[: math.prod(shape)], np.float64).reshape(shape)


def dropout(x: np.ndarray, key: np.ndarray, rate: float) -> np.ndarray:
    least = float(np.float32(rate))
    kept = [value / (1 - rate) if u >= least else 0.0 for value, u in zip(x.flat, draws(key, x.size), strict=True)]
    return np.array(kept, np.float64).reshape(x.shape)


def advance(state: np.ndarray) -> np.ndarray:
    count = (int(state[2]) | int(state[3]) << 32) + 1
    return np.array([state[0], state[1], count & WORD, count >> 32 & WORD], np.uint32)


def key_of(rng: Rng) -> np.ndarray:
    return rng.integers(0, 2**32, 4, np.uint32)


def state_make(rng: Rng, count: int) -> Sample:
    key = key_of(rng)
    key[2], key[3] = count & WORD, count >> 32
    return Sample((key,))


def shaped_make(rng: Rng, shape: tuple[int, ...]) -> Sample:
    return Sample((key_of(rng),), {"shape": shape}, result="float32")


def dropout_make(rng: Rng, shape: tuple[int, ...], rate: float) -> Sample:
    return Sample((normal(rng, *shape), key_of(rng)), {"rate": rate})


def integers(key: np.ndarray, low: np.ndarray, high: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    size = math.prod(shape)
    words = philox(key, 2 * size)
    limits = zip(*(np.broadcast_to(a, shape).ravel().tolist() for a in (low, high)), strict=True)
    found = [a + (words[i] << 32 | words[size + i]) % max(b - a, 1) for i, (a, b) in enumerate(limits)]
    return np.array(found, np.int64).reshape(shape)


def integers_make(rng: Rng, shape: tuple[int, ...], limits: tuple[int, ...] = ()) -> Sample:
    low = rng.integers(-(2**40), 2**40, limits)
    return Sample((key_of(rng), low, low + rng.integers(0, 2**41, limits)), {"shape": shape}, result="int64")


COUNTS = [(0,), (7,), (2**32 - 1,), (2**32,)]
DRAWN: list[tuple[Any, ...]] = [((7,),), ((2, 3),), ((),), ((0, 3),), ((1, 1),), ((64,),)]
WRONG_KEYS = [np.zeros(3, np.uint32), np.zeros(4, np.int32)]
WRONG_STATES = [Sample((key,)) for key in WRONG_KEYS]
WRONG_SHAPED = [Sample((key,), {"shape": (2,)}) for key in WRONG_KEYS]


def random_state(rng: Rng) -> tuple[int]:
    return (int(rng.integers(0, 2**40)),)


def one_shape(rng: Rng) -> tuple[Any, ...]:
    return (long_shape(rng),)


CONTRACTS = [
    Contract("draw_key", lambda state: state.copy(), state_make, COUNTS, random_state, WRONG_STATES),
    Contract("advance_", advance, state_make, COUNTS, random_state, WRONG_STATES),
    Contract("random_uniform", uniform, shaped_make, DRAWN, one_shape, WRONG_SHAPED),
    # The logarithm, square root and cosine of four units each, the angle 2 pi rounded twice.
    Contract("random_normal", gauss, shaped_make, DRAWN, one_shape, WRONG_SHAPED, 24, gauss_size),
    Contract(
        "random_integers",
        integers,
        integers_make,
        [*DRAWN, ((2, 3), (3,))],
        one_shape,
        [
            Sample((np.zeros(4, np.uint32), np.zeros(3, np.int64), np.ones((), np.int64)), {"shape": (2,)}),
            Sample((np.zeros(4, np.uint32), np.zeros((), np.int32), np.ones((), np.int64)), {"shape": (2,)}),
        ],
        dtypes=("float64",),
    ),
    Contract(
        "dropout",
        dropout,
        dropout_make,
        [((7,), 0.5), ((2, 3), 0.25), ((), 0.5), ((0, 3), 0.1), ((40,), 0.0), ((5, 5), 0.9)],
        lambda rng: (long_shape(rng), float(rng.uniform(0, 0.9))),
        [Sample((np.ones(3), key), {"rate": 0.5}) for key in WRONG_KEYS],
        roundings=2,
    ),
]
