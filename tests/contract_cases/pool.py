"""Cases of pooling: each window as a list of what it sees."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gpudl.kernels.geometry import Window

from contract_cases.contract import Contract, Rng, Sample, normal
from contract_cases.conv import WINDOWS, out_size, random_window, taps

Shape = tuple[int, ...]
Seen = dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]]


def seen(shape: Shape, window: Window) -> Seen:
    """Return for each output (n, i, j, c) the taps inside the image: their number and the input position."""
    n, _, _, c = shape
    found: Seen = {at: [] for at in np.ndindex(n, *out_size(shape, window), c)}
    for i, j, a, b, y, x in taps(shape, window):
        for sample in range(n):
            for channel in range(c):
                place = (a * window.kernel[1] + b, (sample, y, x, channel))
                found[sample, i, j, channel].append(place)
    return found


def outs(shape: Shape, window: Window) -> Shape:
    return (shape[0], *out_size(shape, window), shape[3])


def max_pool(x: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    y = np.full(outs(x.shape, window), -np.inf)
    argmax = np.zeros(y.shape, np.uint8 if window.kernel[0] * window.kernel[1] <= 256 else np.int32)
    for at, places in seen(x.shape, window).items():
        for tap, place in places:
            first = tap == places[0][0]
            if first or (not math.isnan(y[at]) and (x[place] > y[at] or math.isnan(x[place]))):
                y[at], argmax[at] = x[place], tap
    return y, argmax


def max_pool_grad(g: np.ndarray, argmax: np.ndarray, shape: Shape, window: Window) -> np.ndarray:
    dx = np.zeros(shape)
    for at, places in seen(shape, window).items():
        for tap, place in places:
            if tap == argmax[at]:
                dx[place] += g[at]
    return dx


def max_pool_pick(x: np.ndarray, argmax: np.ndarray, window: Window) -> np.ndarray:
    y = np.zeros(argmax.shape)
    for at, places in seen(x.shape, window).items():
        for tap, place in places:
            if tap == argmax[at]:
                y[at] = x[place]
    return y


def avg_pool(x: np.ndarray, window: Window) -> np.ndarray:
    y = np.zeros(outs(x.shape, window))
    for at, places in seen(x.shape, window).items():
        y[at] = math.fsum(x[place] for _, place in places) / max(len(places), 1)
    return y


def avg_pool_grad(g: np.ndarray, shape: Shape, window: Window) -> np.ndarray:
    dx = np.zeros(shape)
    for at, places in seen(shape, window).items():
        for _, place in places:
            dx[place] += g[at] / len(places)
    return dx


def image_make(rng: Rng, shape: Shape, window: Window, filters: int = 0, special: bool = False) -> Sample:
    x = normal(rng, *shape)
    if special:
        x.flat[::3] = 1.0
        x.flat[::7] = np.nan
        x.flat[::5] = -np.inf
    blind = not all(seen(shape, window).values())  # a window that sees nothing has the maximum -inf
    return Sample((x,), {"window": window}, smooth=not special and not blind)


def grad_make(rng: Rng, shape: Shape, window: Window, filters: int = 0) -> Sample:
    return Sample((normal(rng, *outs(shape, window)),), {"shape": shape, "window": window})


def winners(rng: Rng, shape: Shape, window: Window) -> np.ndarray:
    return max_pool(normal(rng, *shape), window)[1]


def max_grad_make(rng: Rng, shape: Shape, window: Window, filters: int = 0) -> Sample:
    g = normal(rng, *outs(shape, window))
    return Sample((g, winners(rng, shape, window)), {"shape": shape, "window": window})


def pick_make(rng: Rng, shape: Shape, window: Window, filters: int = 0) -> Sample:
    return Sample((normal(rng, *shape), winners(rng, shape, window)), {"window": window})


def terms(sample: Sample) -> float:
    window = sample.static["window"]
    return window.kernel[0] * window.kernel[1] + 1


POOLS: list[tuple[Any, ...]] = [
    *WINDOWS,
    ((2, 6, 6, 2), Window((2, 2), (2, 2)), 0),
    ((2, 5, 5, 1), Window((2, 2), (2, 2), "same"), 0),
    ((1, 17, 16, 1), Window((17, 16), (1, 1)), 0),  # 272 taps: more than a byte counts
    ((1, 1, 2, 2), Window((2, 2), (1, 1), "same", (3, 1)), 0),  # windows that see padding only
]
SPECIAL = [((2, 6, 5, 2), Window((2, 2), (2, 2)), 0, True), ((1, 5, 5, 3), Window((3, 3), (1, 1), "same"), 0, True)]
X = np.ones((1, 6, 6, 2))
TWO = {"window": Window((2, 2), (2, 2))}
WRONG_IMAGE = [Sample((X[0],), TWO), Sample((X[:, :1],), TWO)]
WRONG_GRAD = np.ones((1, 3, 4, 2))
TAPS = np.zeros((1, 3, 4, 2), np.uint8)

CONTRACTS = [
    Contract("max_pool", max_pool, image_make, [*POOLS, *SPECIAL], random_window, WRONG_IMAGE),
    Contract(
        "max_pool_grad",
        max_pool_grad,
        max_grad_make,
        POOLS,
        random_window,
        [Sample((WRONG_GRAD, TAPS), TWO | {"shape": X.shape})],
        roundings=terms,
        magnitude=lambda g, argmax, **static: max_pool_grad(np.abs(g), argmax, **static),
    ),
    Contract(
        "max_pool_pick",
        max_pool_pick,
        pick_make,
        POOLS,
        random_window,
        [Sample((X[0], TAPS), TWO), Sample((X, TAPS), TWO)],
    ),
    Contract(
        "avg_pool",
        avg_pool,
        image_make,
        POOLS,
        random_window,
        WRONG_IMAGE,
        roundings=terms,
        magnitude=lambda x, window: avg_pool(np.abs(x), window),
    ),
    Contract(
        "avg_pool_grad",
        avg_pool_grad,
        grad_make,
        POOLS,
        random_window,
        [Sample((WRONG_GRAD,), TWO | {"shape": X.shape})],
        roundings=terms,
        magnitude=lambda g, **static: avg_pool_grad(np.abs(g), **static),
    ),
]
