"""Random numbers for layers: generators whose state is a variable, so that replayed steps draw new numbers."""

from __future__ import annotations

import random as python_random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gpudl import ops
from gpudl.engine.default_float import float_dtype
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.names import auto_name

__all__ = [
    "SeedGenerator",
    "dropout",
    "normal",
    "uniform",
]

Shape = tuple[int, ...]


def make_default_seed() -> int:
    """Return a seed drawn from Python's own generator, which `utils.set_random_seed` seeds."""
    return python_random.randint(1, int(1e9))


class SeedGenerator:
    """A counter-based generator of random numbers (Philox4x32-10).

    Args:
        seed: an integer for reproducible draws; None draws one from Python's own generator.
        name: a part of the path of its state; ``seed_generator`` by default, numbered.

    Example:
        >>> first, second = SeedGenerator(7), SeedGenerator(7)
        >>> bool((uniform((3,), seed=first).numpy() == uniform((3,), seed=second).numpy()).all())
        True
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        if not (seed is None or isinstance(seed, int | np.integer)):
            raise ValueError(f"SeedGenerator: seed must be a whole number, got {seed!r}.")
        self.seed = make_default_seed() if seed is None else int(seed)
        words = [self.seed & 0xFFFFFFFF, self.seed >> 32 & 0xFFFFFFFF, 0, 0]
        self.state = Variable(np.array(words, np.uint32), trainable=False, name="seed_generator_state")
        self.name = auto_name("seed_generator") if name is None else name
        self.state.path = f"{self.name}/{self.state.name}"

    def next(self, ordered: bool = True) -> Tensor:
        """Return the key of the next draw, and advance the state; `ordered` makes no difference."""
        key = ops.draw_key(self.state)
        ops.advance_(self.state)
        return key

    def get_config(self) -> dict[str, object]:
        """Return the seed."""
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """Return a generator at the start of the sequence of the seed in `config`."""
        return cls(**config)


def key_of(seed: int | SeedGenerator | None) -> Tensor:
    """Return the key of the next draw of a generator, or of a new one with a seed."""
    generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)
    return generator.next()


def sizes(who: str, shape: int | Sequence[int]) -> tuple[int, ...]:
    """Return a shape as Python integers; raise ValueError for anything else."""
    if not isinstance(shape, list | tuple) or not all(isinstance(n, int | np.integer) for n in shape):
        raise ValueError(f"random.{who}: shape must be a tuple of integers, got {shape!r}.")
    return tuple(map(int, shape))


def in_dtype(who: str, drawn: Tensor, dtype: DTypeLike | None) -> Tensor:
    """Return numbers that were drawn in float32 in `dtype`, or in `config.floatx` for None."""
    wanted = float_dtype() if dtype is None else np.dtype(dtype)
    if not is_floating(wanted):
        raise ValueError(f"random.{who}: dtype must be a floating-point type, got {wanted.name!r}.")
    return drawn if drawn.dtype == wanted else ops.cast(drawn, dtype=wanted)


def uniform(
    shape: Shape,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: DTypeLike | None = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Return numbers from a uniform distribution on [minval, maxval).

    Args:
        shape: the shape.
        minval: the lower bound.
        maxval: the upper bound.
        dtype: a floating-point dtype; by default `config.floatx`. The numbers are drawn in float32.
        seed: a whole number, a `SeedGenerator`, which is advanced, or None for other numbers at each call.

    Raises:
        ValueError: the shape is not a tuple of whole numbers, or the dtype is not a floating-point type.

    Example:
        >>> uniform((2, 3), seed=1).shape
        (2, 3)
    """
    draws = ops.random_uniform(key_of(seed), shape=sizes("uniform", shape))
    return in_dtype("uniform", draws * (maxval - minval) + minval, dtype)


def normal(
    shape: Shape,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike | None = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Return numbers drawn from a normal distribution; the dtype and the seed are those of `uniform`.

    Example:
        >>> normal((2, 3), seed=1).shape
        (2, 3)
    """
    drawn: Tensor = ops.random_normal(key_of(seed), shape=sizes("normal", shape))
    return in_dtype("normal", drawn * stddev + mean, dtype)


def dropout(
    inputs: Tensor,
    rate: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Return floats with a fraction `rate` of them set to 0 and the others scaled by 1 / (1 - rate).

    Args:
        inputs: a tensor of floats.
        rate: the fraction, from 0 to 1.
        noise_shape: shape of the mask, which is broadcast to the inputs: each size is 1 or that of the inputs; None
            means that of the inputs.
        seed: as for `uniform`.

    Raises:
        ShapeError: noise_shape does not fit the inputs.

    Example:
        >>> dropped = dropout(gpudl.convert_to_tensor(np.ones((2, 4), "float32")), 0.5, noise_shape=(1, None), seed=1)
        >>> set(dropped.numpy().ravel().tolist()) <= {0.0, 2.0}
        True
    """
    if noise_shape is None and rate < 1:
        return ops.dropout(inputs, key_of(seed), rate=rate)
    kept = uniform(mask_shape(noise_shape, inputs.shape), dtype="float32", seed=seed) >= rate
    return ops.where(kept, inputs / (1.0 - rate) if rate < 1 else inputs, 0.0)


def mask_shape(noise_shape: Sequence[int | None] | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a mask of inputs of `shape`; raise ShapeError if `noise_shape` does not fit them."""
    wanted = tuple(noise_shape or (None,) * len(shape))
    if len(wanted) != len(shape) or not all(n in (None, 1, m) for n, m in zip(wanted, shape, strict=True)):
        raise ShapeError(
            f"noise_shape {wanted} does not fit inputs of shape {shape}: each size must be 1, None or that of "
            "the inputs."
        )
    return tuple(m if n is None else n for n, m in zip(wanted, shape, strict=True))
