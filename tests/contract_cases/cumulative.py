"""Cases of products along an axis, and of sums, products and recurrences up to each element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from contract_cases.contract import Contract, Rng, Sample, near, random_shape

SETTINGS = [((5,), 0), ((2, 3), 1), ((2, 3), 0), ((3, 2, 4), -2), ((2, 0), 1), ((0, 3), 1), ((1,), 0)]
ZERO, ZEROS = np.array([[2.0, 0.0, 3.0, -1.0]]), np.array([[2.0, 0.0, 0.0, 3.0], [1.0, 2.0, 0.5, 3.0]])
WHOLE = np.array([[3, -2, 4], [5, 1, 2]], np.int32)


def rows(function: Callable[..., list[float]]) -> Callable[..., np.ndarray]:
    """Return an oracle of `function` of lists, along an axis."""

    def oracle(*arrays: np.ndarray, axis: int, reverse: bool = False) -> np.ndarray:
        moved = [np.moveaxis(a, axis, -1)[..., ::-1] if reverse else np.moveaxis(a, axis, -1) for a in arrays]
        lists = [a.reshape(-1, a.shape[-1]).tolist() if a.size else [] for a in moved]
        values = [function(*each) for each in zip(*lists, strict=True)]
        out = np.array(values, arrays[0].dtype).reshape(moved[0].shape)
        return np.moveaxis(out[..., ::-1] if reverse else out, -1, axis)

    return oracle


def sums(row: list[float]) -> list[float]:
    return [math.fsum(row[: i + 1]) for i in range(len(row))]


def products(row: list[float]) -> list[float]:
    return [math.prod(row[: i + 1]) for i in range(len(row))]


def recurrences(factors: list[float], terms: list[float]) -> list[float]:
    found: list[float] = []
    for a, b in zip(factors, terms, strict=True):
        found.append(a * found[-1] + b if found else b)
    return found


def product(x: np.ndarray, axis: int) -> np.ndarray:
    at = axis % x.ndim
    rest = (*x.shape[:at], *x.shape[at + 1 :])
    lists = np.moveaxis(x, axis, -1).reshape(math.prod(rest), x.shape[at]).tolist()
    return np.array([math.prod(each) for each in lists], x.dtype).reshape(rest)


def make(rng: Rng, shape: Any, axis: int, reverse: bool | None = None, count: int = 1) -> Sample:
    static: dict[str, Any] = {"axis": axis} if reverse is None else {"axis": axis, "reverse": reverse}
    if isinstance(shape, np.ndarray):
        return Sample((shape,) * count, static)
    return Sample(tuple(near(-2, 2)(rng, *shape) for _ in range(count)), static)


def two(rng: Rng, shape: Any, axis: int, reverse: bool) -> Sample:
    return make(rng, shape, axis, reverse, 2)


def setting(rng: Rng) -> tuple[Any, ...]:
    return random_shape(rng), -1


BOTH = [(*each, reverse) for each in SETTINGS for reverse in (False, True)]
WRONG = [Sample((np.ones((2, 3)),), {"axis": 2})]


def length(sample: Sample) -> float:
    return float(sample.inputs[0].shape[sample.static["axis"]])


def in_sizes(oracle: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda *arrays, **static: oracle(*map(np.abs, arrays), **static)


CONTRACTS = [
    Contract(
        "cumsum",
        rows(sums),
        make,
        [*BOTH, (WHOLE, 1, True)],
        setting,
        WRONG,
        roundings=1,
        magnitude=in_sizes(rows(sums)),
    ),
    Contract(
        "cumprod",
        rows(products),
        make,
        [*BOTH, (ZERO, 1, False), (ZEROS, 1, True), (WHOLE, 0, False)],
        setting,
        WRONG,
        roundings=length,
    ),
    Contract(
        "recurrence",
        rows(recurrences),
        two,
        BOTH,
        lambda rng: (*setting(rng), False),
        [Sample((np.ones((2, 3)), np.ones((2, 4))), {"axis": 1}), Sample((np.ones(3),) * 2, {"axis": 1})],
        roundings=lambda sample: 2 * length(sample),
        magnitude=in_sizes(rows(recurrences)),
    ),
    Contract(
        "prod",
        product,
        make,
        [*SETTINGS, (ZERO, 1), (ZEROS, 1), (WHOLE, 1)],
        setting,
        WRONG,
        roundings=length,
    ),
]
