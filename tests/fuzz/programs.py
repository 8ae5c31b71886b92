"""Random programs: each is made from a number, which a failure names, so that it can be repeated alone.

    GPUDL_FUZZ_SEED=1234 pytest tests/fuzz/test_fuzz_ops.py       repeats program 1234 alone
    GPUDL_FUZZ_SECONDS=120 pytest tests/fuzz/test_fuzz_ops.py     goes on from program 0 for two minutes
    both together                                                 goes on from there for as long

Without either variable a fuzzer makes a few programs, the same ones each time.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

import gpudl

T = TypeVar("T")
# Warnings to a user about models that make no sense, as random ones may.
ADVICE = (
    *("softmax over axis .* always returns 1", "You are using a softmax over axis", "the loss became NaN or infinite"),
    ".*of one class",
    ".*has from_logits=True, but the predictions are probabilities",
)


class Program:
    """One random program: the random numbers that it is made from, and what it has done so far.

    Args:
        seed: its number.

    Attributes:
        rng: where everything random in it comes from.
        lines: what `say` was told, for the report of a failure.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.lines: list[str] = []

    def say(self, *words: Any) -> None:
        """Note what the program does, as a reader of its failure wants to see it."""
        self.lines.append(" ".join(map(str, words)))

    def chance(self, probability: float) -> bool:
        """Return True so often."""
        return bool(self.rng.random() < probability)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of `choices`."""
        return choices[int(self.rng.integers(len(choices)))]

    def normal(self, *shape: int, dtype: Any = np.float32) -> np.ndarray:
        """Return an array of normally distributed numbers."""
        return np.asarray(self.rng.standard_normal(shape)).astype(dtype)


def _seeds(count: int) -> Iterator[int]:
    """Yield the numbers of the programs that are wanted: `count` of them unless the environment says otherwise."""
    first, seconds = os.environ.get("GPUDL_FUZZ_SEED"), os.environ.get("GPUDL_FUZZ_SECONDS")
    seed = int(first or 0)
    if seconds is None:
        yield from range(seed, seed + (1 if first else count))
        return
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        yield seed
        seed += 1


def run(check: Callable[[Program], None], count: int) -> None:
    """Let `check` make and judge `count` programs; a failure names the program and lists what it did."""
    for seed in _seeds(count):
        program = Program(seed)
        gpudl.utils.set_random_seed(seed)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                for harmless in ADVICE:
                    warnings.filterwarnings("ignore", harmless)
                check(program)
        except Exception as error:
            for line in (f"In random program {seed}; GPUDL_FUZZ_SEED={seed} repeats it alone:", *program.lines):
                error.add_note(line)
            raise


def assert_near(ours: Any, exact: Any, tolerance: float, what: str) -> None:
    """Assert that no element is further from the exact one than `tolerance` times the largest of them, or 1."""
    ours, exact = np.asarray(ours), np.asarray(exact)
    assert ours.shape == exact.shape, f"{what}: shape {ours.shape}, expected {exact.shape}"
    wide, exact = ours.astype(np.float64), exact.astype(np.float64)
    finite = np.isfinite(exact)
    if not np.array_equal(wide[~finite], exact[~finite], equal_nan=True):
        raise AssertionError(f"{what} is not finite at other places: {wide}, expected {exact}")
    off = np.abs(wide[finite] - exact[finite]).max(initial=0.0)
    bound = tolerance * np.abs(exact[finite]).max(initial=1.0)
    if not off <= bound:  # a NaN is neither less nor more
        raise AssertionError(f"{what} is off by {off:.3g}, more than {bound:.3g}: {wide}, expected {exact}")


def assert_same_bits(one: Any, other: Any, what: str) -> None:
    """Assert that two arrays agree in shape, dtype and every bit; NaN is NaN, whatever its sign."""
    one, other = np.asarray(one), np.asarray(other)
    assert (one.dtype, one.shape) == (other.dtype, other.shape), what
    if one.tobytes() != other.tobytes() and not np.array_equal(one, other, equal_nan=one.dtype.kind not in "biu"):
        raise AssertionError(f"{what} differs: {one} and {other}")
