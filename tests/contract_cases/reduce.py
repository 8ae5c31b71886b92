"""Cases of the reductions: each out is computed from the list of the numbers that belong to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from contract_cases.contract import REAL, Contract, Rng, Sample, normal, random_shape

Axes = int | tuple[int, ...] | None
WIDENED = {**dict.fromkeys(("bool", "int8", "int16"), "int32"), **dict.fromkeys(("uint8", "uint16"), "uint32")}
"""The dtypes of sums of small integers."""


def groups(x: np.ndarray, axis: Axes, keepdims: bool) -> tuple[tuple[int, ...], list[list[Any]]]:
    """Return the reduced shape, and for each of its elements the numbers that it is made of."""
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in np.atleast_1d(axis)]
    kept = [i for i in range(x.ndim) if i not in axes]
    found: dict[tuple[int, ...], list[Any]] = {at: [] for at in np.ndindex(*(x.shape[i] for i in kept))}
    for at in np.ndindex(x.shape):
        found[tuple(at[i] for i in kept)].append(x[at])
    shape = tuple(n if i in kept else 1 for i, n in enumerate(x.shape) if i in kept or keepdims)
    return shape, list(found.values())


def over(function: Callable[[list[Any]], Any], dtype: Any = np.float64) -> Callable[..., np.ndarray]:
    """Return `function` of a list of numbers as an oracle with `axis` and `keepdims`."""

    def oracle(x: np.ndarray, axis: Axes = None, keepdims: bool = False) -> np.ndarray:
        shape, lists = groups(x, axis, keepdims)
        whole = WIDENED.get(x.dtype.name, x.dtype) if function is math.fsum else x.dtype
        kind = dtype if x.dtype.kind == "f" else whole
        return np.array([function(numbers) for numbers in lists], kind).reshape(shape)

    return oracle


def make(rng: Rng, x: Any, static: dict[str, Any], smooth: bool = True) -> Sample:
    return Sample((normal(rng, *x) if isinstance(x, tuple) else x,), static, smooth)


def random_reduction(rng: Rng) -> tuple[Any, ...]:
    shape = random_shape(rng)
    axis = None if rng.random() < 0.3 else int(rng.integers(-len(shape), len(shape)))
    return shape, {"axis": axis, "keepdims": bool(rng.random() < 0.5)}


def sum_to(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape)
    lead = x.ndim - len(shape)
    for at in np.ndindex(x.shape):
        out[tuple(i if n > 1 else 0 for i, n in zip(at[lead:], shape, strict=True))] += x[at]
    return out


def broadcast_to(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty(shape)
    lead = len(shape) - x.ndim
    for at in np.ndindex(shape):
        out[at] = x[tuple(i if n > 1 else 0 for i, n in zip(at[lead:], x.shape, strict=True))]
    return out


def narrowed(rng: Rng) -> tuple[Any, ...]:
    """Return a shape and one that broadcasts to it; half the time that of a bias."""
    shape = random_shape(rng, (2, 5))
    if rng.random() < 0.5:
        return shape, shape[-1:]
    return shape, tuple(1 if rng.random() < 0.4 else n for n in shape)[int(rng.integers(0, len(shape))) :]


BROADCASTS = [
    ((2, 3, 4), (4,)),
    ((2, 3), ()),
    ((2, 3, 4), (3, 1)),
    ((2, 3), (2, 3)),
    ((1, 1), (1,)),
    ((0, 3), (3,)),
    ((70, 3), (3,)),
    ((2, 0), (2, 1)),
]


def sum_to_make(rng: Rng, x: tuple[int, ...], shape: tuple[int, ...]) -> Sample:
    return Sample((normal(rng, *x),), {"shape": shape})


def broadcast_make(rng: Rng, full: tuple[int, ...], x: tuple[int, ...]) -> Sample:
    return Sample((normal(rng, *x),), {"shape": full})


def terms(sample: Sample) -> float:
    return sample.inputs[0].size


def argmax(x: np.ndarray, axis: int) -> np.ndarray:
    shape, lists = groups(x, axis, False)
    nan = [next((i for i, n in enumerate(numbers) if math.isnan(n)), None) for numbers in lists]
    first = [n.index(max(n)) if at is None else at for n, at in zip(lists, nan, strict=True)]
    return np.array(first, np.int32).reshape(shape)


def largest(numbers: list[float]) -> float:
    return math.nan if any(math.isnan(n) for n in numbers) else max(numbers)


def smallest(numbers: list[float]) -> float:
    return math.nan if any(math.isnan(n) for n in numbers) else min(numbers)


def max_grad(g: np.ndarray, y: np.ndarray, x: np.ndarray, axis: Axes = None) -> np.ndarray:
    axes = tuple(range(x.ndim)) if axis is None else axis
    kept = np.ones(x.shape).sum(axis=axes, keepdims=True).shape
    slopes, tops, out = g.reshape(kept), y.reshape(kept), np.zeros(x.shape)
    winners: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for at in np.ndindex(x.shape):
        group = tuple(i if n > 1 else 0 for i, n in zip(at, kept, strict=True))
        if x[at] == tops[group]:
            winners.setdefault(group, []).append(at)
    for group, positions in winners.items():
        for at in positions:
            out[at] = slopes[group] / len(positions)
    return out


def max_grad_make(rng: Rng, shape: tuple[int, ...], static: dict[str, Any], keepdims: bool = False) -> Sample:
    x = rng.integers(-2, 3, shape).astype(np.float64)  # with equal maxima
    y = x.max(axis=static.get("axis"), keepdims=keepdims)
    return Sample((normal(rng, *y.shape), np.asarray(y), x), static, wrt=(0,))


def random_max(rng: Rng) -> tuple[Any, ...]:
    shape, static = random_reduction(rng)
    return shape, {"axis": static["axis"]}, static["keepdims"]


TIED = np.array([[1.0, 3.0, 3.0], [math.nan, 2.0, math.nan], [-math.inf, -math.inf, -math.inf]])
OUT_OF_RANGE = Sample((np.ones((2, 3)),), {"axis": 2})


def spoiled(x: np.ndarray, last: float) -> np.ndarray:
    """Return x with another last number."""
    x.reshape(-1)[-1:] = last
    return x


CONTRACTS = [
    Contract(
        "sum",
        over(math.fsum),
        make,
        [
            ((2, 3, 4), {}),
            ((2, 3, 4), {"axis": 1}),
            ((2, 3, 4), {"axis": (0, -1), "keepdims": True}),
            ((), {}),
            ((1, 5), {"axis": 0}),
            ((0, 3), {"axis": 0}),
            ((0, 3), {"axis": 1}),
            (np.array([[True, False], [True, True]]), {"axis": 1}),
            (np.array([[1, 2], [3, 4]], np.int64), {"axis": 0}),
            (np.full((300, 2), 200, np.uint8), {"axis": 0}),
            (np.full(70000, -2, np.int16), {}),
        ],
        random_reduction,
        [OUT_OF_RANGE],
        roundings=terms,
        magnitude=lambda x, **static: over(math.fsum)(np.abs(x) if x.dtype.kind == "f" else x, **static),
    ),
    *(
        Contract(
            op,
            over(oracle),
            make,
            [
                ((2, 3, 4), {}),
                ((2, 3, 4), {"axis": -1}),
                ((2, 3, 1), {"axis": (0, 2), "keepdims": True}),
                ((0, 3), {"axis": 1}),
                (TIED, {"axis": 1}, False),
                (np.array([[1, 5], [3, 4]], np.int64), {"axis": 0}),
                (np.array([[True, False], [True, True]]), {"axis": 1}),
            ],
            random_reduction,
            [OUT_OF_RANGE, Sample((np.ones((2, 0)),), {"axis": 1})],
        )
        for op, oracle in (("max", largest), ("min", smallest))
    ),
    Contract(
        "max_grad",
        max_grad,
        max_grad_make,
        [
            ((2, 3, 4), {}),
            ((2, 3, 4), {"axis": -1}),
            ((2, 3, 4, 5), {"axis": (1, 2)}),
            ((2, 3, 4), {"axis": (0, 2)}, True),
            ((5,), {"axis": 0}),
        ],
        random_max,
        [
            Sample((np.ones(2), np.ones(2), np.ones((2, 3))), {"axis": 0}),
            Sample((np.ones(3), np.ones(2), np.ones((2, 3))), {"axis": 1}),
        ],
        roundings=2,
    ),
    Contract(
        "argmax",
        argmax,
        make,
        [
            ((2, 3, 4), {"axis": 1}),
            ((2, 5), {"axis": -1}),
            ((1, 1), {"axis": 0}),
            ((0, 3), {"axis": 1}),
            (TIED, {"axis": 1}),
            (np.array([[1, 5], [3, 4]], np.int64), {"axis": 0}),
        ],
        lambda rng: (random_shape(rng), {"axis": -1}),
        [OUT_OF_RANGE, Sample((np.ones((2, 0)),), {"axis": 1})],
    ),
    Contract(
        "sum_to",
        sum_to,
        sum_to_make,
        BROADCASTS,
        narrowed,
        [Sample((np.ones((2, 3)),), {"shape": (2,)}), Sample((np.ones((2, 1)),), {"shape": (2, 3)})],
        roundings=terms,
        magnitude=lambda x, shape: sum_to(np.abs(x), shape),
        dtypes=REAL,
    ),
    Contract(
        "broadcast_to",
        broadcast_to,
        broadcast_make,
        BROADCASTS,
        narrowed,
        [Sample((np.ones((2, 3)),), {"shape": (2,)}), Sample((np.ones((2, 3)),), {"shape": (2, 4)})],
    ),
    Contract(
        "all_finite",
        lambda *xs: np.array(all(math.isfinite(n) for x in xs for n in x.ravel())),
        lambda rng, shapes, spoilt: Sample(tuple(spoiled(normal(rng, *s), spoilt) for s in shapes)),
        [
            ([(2, 3)], 1.0),
            ([(2, 3), (4,)], math.nan),
            ([(5,), (1, 2)], -math.inf),
            ([()], math.inf),
            ([(0, 2)], math.nan),
        ],
        lambda rng: ([random_shape(rng), random_shape(rng)], float(rng.choice([1.0, math.nan, math.inf]))),
    ),
]
