"""Random numbers, as ``tf.random`` names them."""

from __future__ import annotations

from gpudl import random as _random
from gpudl.engine.spec import Shape
from gpudl.engine.tensor import Tensor
from gpudl.ops import cast
from gpudl.utils import set_random_seed

__all__ = ["normal", "set_seed", "uniform"]


def set_seed(seed: int) -> None:
    """Seed everything random: `gpudl.utils.set_random_seed`."""
    set_random_seed(seed)


def normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: str = "float32", seed: int | None = None
) -> Tensor:
    """Return numbers from a normal distribution.

    Example:
        >>> normal([2, 3]).shape
        (2, 3)
    """
    return cast(_random.normal(tuple(shape), mean, stddev, "float32", seed), dtype)


def uniform(
    shape: Shape, minval: float = 0.0, maxval: float = 1.0, dtype: str = "float32", seed: int | None = None
) -> Tensor:
    """Return numbers drawn evenly from [minval, maxval).

    Example:
        >>> uniform([2, 3], maxval=5).shape
        (2, 3)
    """
    return cast(_random.uniform(tuple(shape), minval, maxval, "float32", seed), dtype)
