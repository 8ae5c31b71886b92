"""Random numbers for layers: generators whose state lives in a variable, so that replayed steps differ."""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np

from gpudl import ops
from gpudl.engine.tensor import Tensor, Variable

Shape = tuple[int, ...]


def make_default_seed() -> int:
    """Return a seed drawn from Python's own generator, which `utils.set_random_seed` seeds."""
    return python_random.randint(1, int(1e9))


class SeedGenerator:
    """A counter-based generator of random numbers (Philox4x32-10).

    Args:
        seed: an integer for repeatable draws; None takes one from Python's own generator.

    Example:
        >>> first, second = SeedGenerator(7), SeedGenerator(7)
        >>> bool((uniform((3,), seed=first).numpy() == uniform((3,), seed=second).numpy()).all())
        True
    """

    def __init__(self, seed: int | None = None) -> None:
        if not (seed is None or isinstance(seed, int | np.integer)):
            raise ValueError(f"SeedGenerator: seed must be a whole number, got {seed!r}.")
        self.seed = make_default_seed() if seed is None else int(seed)
        words = [self.seed & 0xFFFFFFFF, self.seed >> 32 & 0xFFFFFFFF, 0, 0]
        self.state = Variable(np.array(words, np.uint32), trainable=False, name="seed_generator_state")

    def next(self) -> Tensor:
        """Return the key of the next draw, and count it."""
        key: Tensor = ops.draw_key(self.state)
        ops.advance_(self.state)
        return key

    def get_config(self) -> dict[str, Any]:
        """Return the seed."""
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """Return a generator at the start of the sequence of the seed in `config`."""
        return cls(**config)


def _key(seed: int | SeedGenerator | None) -> Tensor:
    generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)
    return generator.next()


def _sizes(who: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list | tuple) or not all(isinstance(n, int | np.integer) for n in shape):
        raise ValueError(f"random.{who}: shape must be a tuple of integers, got {shape!r}.")
    return tuple(map(int, shape))


def uniform(shape: Shape, minval: float = 0.0, maxval: float = 1.0, seed: int | SeedGenerator | None = None) -> Tensor:
    """Return float32 numbers drawn evenly from [minval, maxval).

    Example:
        >>> uniform((2, 3), seed=1).shape
        (2, 3)
    """
    draws = ops.random_uniform(_key(seed), shape=_sizes("uniform", shape))
    result: Tensor = draws * (maxval - minval) + minval
    return result


def normal(shape: Shape, mean: float = 0.0, stddev: float = 1.0, seed: int | SeedGenerator | None = None) -> Tensor:
    """Return float32 numbers drawn from a normal distribution.

    Example:
        >>> normal((2, 3), seed=1).shape
        (2, 3)
    """
    drawn: Tensor = ops.random_normal(_key(seed), shape=_sizes("normal", shape))
    result: Tensor = drawn * stddev + mean
    return result


def dropout(x: Tensor, rate: float, seed: int | SeedGenerator | None = None) -> Tensor:
    """Return `x` with a share `rate` of its elements set to 0 and the others scaled by 1 / (1 - rate)."""
    result: Tensor = ops.dropout(x, _key(seed), rate=rate)
    return result
