"""Cases of the update ops: one weight at a time, in Python's floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from contract_cases.contract import (
    REAL,
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

Numbers = tuple[float, ...]


def each(function: Callable[..., Numbers], writes: int) -> Callable[..., tuple[np.ndarray, ...]]:
    """Return `function` of the numbers at one place as an oracle for the arrays that an update writes."""

    def oracle(*arrays: np.ndarray, **static: Any) -> tuple[np.ndarray, ...]:
        new = [np.empty(a.shape) for a in arrays[:writes]]
        for at in np.ndindex(arrays[0].shape):
            numbers = function(*(float(a[at]) if a.ndim else float(a) for a in arrays), **static)
            for array, number in zip(new, numbers, strict=True):
                array[at] = number
        return tuple(new)

    return oracle


def momentum(w: float, m: float, g: float, lr: float, momentum: float, nesterov: bool) -> Numbers:
    m = momentum * m - lr * g
    return (w + momentum * m - lr * g if nesterov else w + m), m


def rmsprop(w: float, v: float, g: float, lr: float, rho: float, epsilon: float) -> Numbers:
    v = rho * v + (1 - rho) * g * g
    return w - lr * g / math.sqrt(v + epsilon), v


def adam(
    w: float, m: float, v: float, g: float, lr: float, step: float, beta_1: float, beta_2: float, epsilon: float
) -> Numbers:
    t = step + 1
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g * g
    rate = lr * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return w - rate * m / (math.sqrt(v) + epsilon), m, v


def adam_size(w: float, m: float, v: float, g: float, lr: float, step: float, **betas: float) -> Numbers:
    """Return the magnitude of Adam's terms: with all of them positive, against the gradient."""
    new_w, new_m, new_v = adam(abs(w), abs(m), v, abs(g), -lr, step, **betas)
    return new_w, new_m, new_v


def sizes(function: Callable[..., Numbers], writes: int) -> Callable[..., tuple[np.ndarray, ...]]:
    """Return the magnitude of an update: that of the same sum with all its terms positive."""
    plus = each(function, writes)

    def magnitude(*arrays: np.ndarray, **static: Any) -> tuple[np.ndarray, ...]:
        *rest, lr = (np.abs(a) for a in arrays[: writes + 2])
        return plus(*rest, -lr, *arrays[writes + 2 :], **static)

    return magnitude


def assign_make(rng: Rng, shape: tuple[int, ...], value: tuple[int, ...] | None = None, dtype: str = "") -> Sample:
    target = normal(rng, *shape)
    if dtype:
        target = rng.integers(0, 9, shape).astype(dtype)
    source = normal(rng, *(shape if value is None else value))
    return Sample((target, source.round().astype(dtype) if dtype else source))


def filled(target: np.ndarray, value: np.ndarray) -> np.ndarray:
    return elementwise(lambda old, new: new, target.dtype.type)(target, value)


def added(target: np.ndarray, value: np.ndarray) -> np.ndarray:
    return elementwise(lambda old, new: old + new, target.dtype.type)(target, value)


def slots_make(count: int, **statics: list[Any]) -> Callable[..., Sample]:
    """Return a maker of w, `count` non-negative slots, g and lr, and the number of steps where asked for."""

    def make(rng: Rng, shape: tuple[int, ...], which: int = 0) -> Sample:
        slots = [positive(rng, *shape) for _ in range(count)]
        inputs = [normal(rng, *shape), *slots, normal(rng, *shape), near(0.01, 0.1)(rng)]
        if "beta_1" in statics:
            inputs.append(np.array([0, 5, 1000][which], np.int64))
        return Sample(tuple(inputs), {name: values[which % len(values)] for name, values in statics.items()})

    return make


def rescaled(scale: np.ndarray, good: np.ndarray, finite: np.ndarray, growth_steps: int) -> tuple[Any, Any]:
    """Return a loss scale and the count of good steps after one more step."""
    if not finite:
        return max(scale / 2, np.array(2.0**-24)), np.array(0)
    return (scale * 2, np.array(0)) if int(good) + 1 == growth_steps else (scale, good + 1)


FLAT: list[tuple[Any, ...]] = [(shape,) for shape in SHAPES] + [((6,), 1), ((6,), 2)]


def random_update(rng: Rng) -> tuple[Any, ...]:
    return long_shape(rng), int(rng.integers(0, 3))


W, V, LR = np.ones((2, 3)), np.ones((2, 4)), np.array(0.1)
ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}

CONTRACTS = [
    Contract(
        "assign_",
        filled,
        assign_make,
        [((2, 3),), ((2, 3), ()), ((0, 2),), ((), ()), ((3,), None, "int32"), ((2,), None, "uint32")],
        lambda rng: (random_shape(rng),),
        [Sample((W, V)), Sample((W, np.ones(3)))],
    ),
    Contract(
        "assign_add_",
        added,
        assign_make,
        [((2, 3),), ((2, 3), ()), ((0, 2),), ((), ()), ((3,), None, "int32")],
        lambda rng: (random_shape(rng),),
        [Sample((W, V)), Sample((W, np.ones(3)))],
        roundings=1,
    ),
    Contract(
        "sgd_",
        each(lambda w, g, lr: (w - lr * g,), 1),
        slots_make(0),
        FLAT,
        random_update,
        [Sample((W, V, LR))],
        2,
        lambda w, g, lr: np.abs(w) + np.abs(lr * g),
        REAL,
    ),
    Contract(
        "sgd_momentum_",
        each(momentum, 2),
        slots_make(1, momentum=[0.9, 0.5], nesterov=[False, True]),
        FLAT,
        random_update,
        [Sample((W, V, W, LR), {"momentum": 0.9, "nesterov": False})],
        6,
        sizes(momentum, 2),
        REAL,
    ),
    Contract(
        "rmsprop_",
        each(rmsprop, 2),
        slots_make(1, rho=[0.9], epsilon=[1e-7]),
        FLAT,
        random_update,
        [Sample((W, V, W, LR), {"rho": 0.9, "epsilon": 1e-7})],
        8,
        sizes(rmsprop, 2),
        REAL,
    ),
    Contract(
        "adam_",
        each(adam, 3),
        # After six steps 1 - 0.999**t would hide a rounded power; 31 / 32 has exact powers.
        slots_make(2, beta_1=[0.9, 0.875, 0.9], beta_2=[0.999, 0.96875, 0.999], epsilon=[1e-7]),
        FLAT,
        random_update,
        [Sample((W, W, V, W, LR, np.array(0)), ADAM)],
        12,
        each(adam_size, 3),
        REAL,
    ),
    Contract(
        "decay_",
        each(lambda w, lr, rate: (w - w * rate * lr,), 1),
        lambda rng, shape: Sample((normal(rng, *shape), near(0.01, 0.1)(rng)), {"rate": 0.25}),
        [(shape,) for shape in SHAPES],
        lambda rng: (random_shape(rng),),
        [Sample((W, np.ones(3)), {"rate": 0.1})],
        3,
        lambda w, lr, rate: np.abs(w),
        REAL,
    ),
    Contract(
        "increment_",
        lambda step: step + 1,
        lambda rng, shape, start: Sample((np.full(shape, start, np.int64),)),
        [((), 0), ((), 2**40), ((2,), 5), ((0,), 0)],
        lambda rng: ((), int(rng.integers(0, 99))),
        [Sample((np.zeros((), np.int32),))],
    ),
    Contract(
        "note_nonfinite_",
        lambda first, value, step: step if first < 0 and not math.isfinite(value) else first,
        lambda rng, first, value: Sample((np.array(first), np.array(value), np.array(7))),
        [(-1, 1.5), (-1, math.nan), (-1, math.inf), (-1, -math.inf), (3, math.nan)],
        lambda rng: (-1, math.nan),
        [Sample((np.array(-1), np.ones(2), np.array(7))), Sample((np.array(-1.0), np.array(1.0), np.array(7)))],
    ),
    Contract(
        "restore_",
        lambda target, before, keep: target if keep else before,
        lambda rng, shape, keep: Sample((normal(rng, *shape), normal(rng, *shape), np.array(keep))),
        [((2, 3), True), ((2, 3), False), ((), False), ((0, 2), False)],
        lambda rng: (long_shape(rng), bool(rng.integers(2))),
        [Sample((W, V, np.array(True))), Sample((W, W, np.array(1))), Sample((W, W, np.array([True])))],
    ),
    Contract(
        "rescale_",
        rescaled,
        lambda rng, good, finite, scale=8.0: Sample(
            (np.array(scale), np.array(good), np.array(finite)), {"growth_steps": 3}
        ),
        [(0, True), (1, True), (2, True), (2, False), (0, False), (0, False, 1.5 * 2.0**-24), (1, False, 0.0)],
        lambda rng: (int(rng.integers(0, 3)), bool(rng.integers(2)), float(2.0 ** rng.integers(-24, 16))),
        [
            Sample((np.ones(2), np.array(0), np.array(True)), {"growth_steps": 3}),
            Sample((np.array(1.0), np.array(0.0), np.array(True)), {"growth_steps": 3}),
            Sample((np.array(1.0), np.array(0), np.array(1)), {"growth_steps": 3}),
        ],
    ),
]
