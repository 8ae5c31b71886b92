"""Initializers that draw random numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from gpudl import config
from gpudl.engine.spec import is_floating
from gpudl.initializers.base import Initializer, Shape
from gpudl.random import SeedGenerator, make_default_seed
from gpudl.registry import Config
from gpudl.utils.checks import require_number

__all__ = [
    "Orthogonal",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
]


class RandomInitializer(Initializer):
    """The base of random initializers.

    Args:
        seed: with an integer every call returns the same numbers; None draws that integer from Python's
            generator, which `utils.set_random_seed` seeds. A `random.SeedGenerator` gives new numbers at
            every call.
    """

    def __init__(self, seed: int | SeedGenerator | None = None) -> None:
        if isinstance(seed, dict):  # from a config
            seed = SeedGenerator.from_config(seed["config"])
        if not (seed is None or isinstance(seed, int | SeedGenerator)):
            raise ValueError(f"seed must be an integer, a SeedGenerator or None, got {seed!r}.")
        self.seed = make_default_seed() if seed is None else seed

    def get_config(self) -> Config:
        """Return the constructor's arguments; a seed that was not given stays None."""
        found = super().get_config()
        return found | {"seed": None} if self._arguments.get("seed") is None else found

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> np.ndarray:
        """Return random numbers; raise ValueError when `dtype` is no float."""
        kind = np.dtype(dtype or config.float_dtype())
        if not is_floating(kind):
            raise ValueError(f"{type(self).__name__} makes floats, got dtype {kind}.")
        return self.draw(self._generator(), self._sizes(shape)).astype(kind)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return float64 numbers of `shape` from `generator`; implemented by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} needs a draw(generator, shape).")

    def _generator(self) -> np.random.Generator:
        """Return a generator keyed by the seed and the number of the draw."""
        if isinstance(self.seed, SeedGenerator):
            key = self.seed.next().numpy().view(np.uint64)
        else:
            key = np.array([self.seed & 0xFFFF_FFFF_FFFF_FFFF, 0], np.uint64)
        return np.random.Generator(np.random.Philox(key=key))


class RandomUniform(RandomInitializer):
    """Uniform random numbers from minval to maxval.

    Example:
        >>> RandomUniform(minval=0.0, maxval=1.0, seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | SeedGenerator | None = None) -> None:
        super().__init__(seed)
        require_number(type(self).__name__, minval=minval, maxval=maxval)
        self.minval = minval
        self.maxval = maxval

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return uniform random numbers."""
        return generator.uniform(self.minval, self.maxval, shape)


class RandomNormal(RandomInitializer):
    """Normally distributed numbers.

    Example:
        >>> RandomNormal(stddev=1.0, seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | SeedGenerator | None = None) -> None:
        super().__init__(seed)
        require_number(type(self).__name__, mean=mean, stddev=stddev)
        self.mean = mean
        self.stddev = stddev

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return normal numbers."""
        return generator.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normal numbers, those more than two standard deviations from the mean drawn again.

    Example:
        >>> bool((abs(TruncatedNormal(stddev=1.0, seed=1)((99,))) <= 2).all())
        True
    """

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return truncated normal numbers."""
        return self.mean + self.stddev * truncated(generator, shape)


def truncated(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal numbers from [-2, 2]."""
    draws = np.asarray(generator.standard_normal(shape))
    while (far := np.abs(draws) > 2).any():
        draws[far] = generator.standard_normal(int(far.sum()))
    return draws


class Orthogonal(RandomInitializer):
    """A matrix with orthonormal columns, or rows where there are fewer, times `gain`.

    Shapes with more axes are filled as the matrix (all but the last, last).

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning", ICLR 2014; evenly
    distributed by the signs of R: Mezzadri, "How to generate random matrices", Notices of the AMS 2007.

    Example:
        >>> q = Orthogonal(seed=1)((3, 3))
        >>> bool(abs(q.T @ q - np.eye(3)).max() < 1e-6)
        True
    """

    def __init__(self, gain: float = 1.0, seed: int | SeedGenerator | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return an orthogonal matrix; raise ValueError for shapes with less than two axes."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape with at least two axes, got {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = generator.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q = q * np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


random_uniform, random_normal, truncated_normal, orthogonal = RandomUniform, RandomNormal, TruncatedNormal, Orthogonal
