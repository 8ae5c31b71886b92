"""What a case of the op contract says, and the sampling that the families share."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gpudl.engine.spec import is_floating

Rng = np.random.Generator
Arrays = tuple[np.ndarray, ...]
REAL = ("float32", "float64")
ALL = ("float16", *REAL)


@dataclass
class Sample:
    """Inputs of one call.

    Attributes:
        inputs: float64 masters stand for the dtype under test; other dtypes are taken as they are.
        static: the op's static arguments.
        smooth: whether the function is differentiable around the inputs.
        result: the dtype of float outs, where it is not the dtype under test.
        wrt: the inputs that are differentiated, by position; all of those with a rule by default.
    """

    inputs: Arrays
    static: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True
    result: str | None = None
    wrt: tuple[int, ...] | None = None

    def cast(self, dtype: str) -> Arrays:
        """Return fresh copies of the inputs for the dtype under test."""
        return tuple(np.array(x, dtype if x.dtype == np.float64 else x.dtype, order="C") for x in self.inputs)


@dataclass
class Contract:
    """An op, what it must compute, and on what.

    Attributes:
        oracle: float64 arrays to float64 arrays (one or a tuple; an update's new values), sharing no code
            with the op.
        make: `make(rng, *setting)` is a sample.
        settings: the settings worth a sample each.
        draw: a random setting, for the kernels.
        wrong: inputs that must raise ShapeError.
        roundings: how many roundings, each half a unit in the last place of `magnitude`, lie between an out
            and the exact value: a number, or a function of the sample. A rounding is counted as a whole
            epsilon, which also covers the oracle's own error where it computes in the same dtype.
        magnitude: the size of what is rounded, like `oracle`; the outs themselves by default.
        dtypes: the dtypes under test.
        any_shape: whether no shape is wrong.
    """

    op: str
    oracle: Callable[..., Any]
    make: Callable[..., Sample]
    settings: Sequence[tuple[Any, ...]]
    draw: Callable[[Rng], tuple[Any, ...]]
    wrong: Sequence[Sample] = ()
    roundings: float | Callable[[Sample], float] = 0
    magnitude: Callable[..., Any] | None = None
    dtypes: tuple[str, ...] = ALL
    any_shape: bool = False

    @cached_property
    def samples(self) -> list[Sample]:
        rng = np.random.default_rng(zlib.crc32(self.op.encode()))
        return [self.make(rng, *setting) for setting in self.settings]

    def drawn(self, count: int) -> list[Sample]:
        """Return samples of random shapes."""
        rng = np.random.default_rng(zlib.crc32(self.op.encode()) + 1)
        return [self.make(rng, *self.draw(rng)) for _ in range(count)]

    def expected(self, inputs: Arrays, static: dict[str, Any]) -> Arrays:
        """Return the oracle's outs as a tuple."""
        return _tuple(self.oracle(*_exact(inputs), **static))

    def bounds(self, inputs: Arrays, sample: Sample) -> Arrays:
        """Return how far, in epsilons of its dtype, each out may be from the oracle's."""
        size = _tuple((self.magnitude or self.oracle)(*_exact(inputs), **sample.static))
        count = self.roundings(sample) if callable(self.roundings) else self.roundings
        return tuple(np.abs(np.asarray(s, np.float64)) * count if count else np.zeros(s.shape) for s in size)


def _exact(inputs: Arrays) -> Arrays:
    return tuple(x.astype(np.float64) if is_floating(x.dtype) else x for x in inputs)


def _tuple(outs: Any) -> Arrays:
    return tuple(np.asarray(x) for x in (outs if isinstance(outs, tuple) else (outs,)))


def near(low: float, high: float) -> Callable[..., np.ndarray]:
    """Return a function that draws float64 masters between `low` and `high`, exact in float16.

    Masters that every dtype holds exactly keep the input's own rounding out of the comparison.
    """

    def draw(rng: Rng, *shape: int) -> np.ndarray:
        return np.asarray(rng.uniform(low, high, shape).astype(np.float16).astype(np.float64))

    return draw


normal = near(-2, 2)
positive = near(0.25, 2)

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (3, 1, 4), (0, 3), (2, 3, 4))


def random_shape(rng: Rng, axes: tuple[int, int] = (1, 4), size: int = 7) -> tuple[int, ...]:
    """Return a shape with a random number of axes of random sizes, 1 included."""
    return tuple(int(n) for n in rng.integers(1, size, int(rng.integers(*axes))))


def long_shape(rng: Rng) -> tuple[int, ...]:
    """Return a small shape or a long one, which kernels cut into blocks for their threads."""
    return random_shape(rng) if rng.random() < 0.5 else (int(rng.integers(4000, 9500)),)


def elementwise(function: Callable[..., Any], dtype: type = float) -> Callable[..., np.ndarray]:
    """Return `function` of Python numbers as an oracle over broadcast arrays."""
    vectorized = np.vectorize(function, otypes=[dtype])

    def oracle(*arrays: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # NumPy looks at the processor's flags, which NaN raises
            return np.asarray(vectorized(*arrays))

    return oracle
