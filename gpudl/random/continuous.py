"""Truncated normal, gamma and beta distributions, drawn in a fixed number of steps, so that they can be recorded."""

from __future__ import annotations

import math

from numpy.typing import DTypeLike

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.random.generators import SeedGenerator, Shape, in_dtype, key_of, sizes

__all__ = [
    "beta",
    "gamma",
    "truncated_normal",
]

_TRIES = 8  # of which all fail once in 10**11 draws, if alpha is 1, and more rarely if it is larger


def truncated_normal(
    shape: Shape,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike | None = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Return numbers from a normal distribution, of which none is more than two standard deviations from the mean.

    Args:
        shape: the shape.
        mean: the mean.
        stddev: the standard deviation before the ends were cut off.
        dtype: a floating-point dtype; by default `config.floatx`.
        seed: as for `uniform`.

    Example:
        >>> bool(ops.all(ops.abs(truncated_normal((100,), seed=1)) <= 2))
        True
    """
    draws = ops.random_uniform(key_of(seed), shape=sizes("truncated_normal", shape))
    edge = math.erf(2**0.5)
    numbers = ops.clip(ops.erfinv((draws * 2 - 1) * edge) * 2**0.5, -2.0, 2.0)
    return in_dtype("truncated_normal", numbers * stddev + mean, dtype)


def gamma(
    shape: Shape, alpha: TensorLike, dtype: DTypeLike | None = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Return numbers from the gamma distribution of shape parameter `alpha` and scale 1.

    Args:
        shape: the shape.
        alpha: positive, a number or a tensor that broadcasts to the shape.
        dtype: a floating-point dtype; by default `config.floatx`.
        seed: as for `uniform`.

    Example:
        >>> bool(ops.all(gamma((100,), 0.5, seed=1) >= 0))
        True
    """
    generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)
    return in_dtype("gamma", ops.exp(log_gamma(sizes("gamma", shape), alpha, generator)), dtype)


def log_gamma(shape: tuple[int, ...], alpha: TensorLike, generator: SeedGenerator) -> Tensor:
    """Return the logarithms of numbers from a gamma distribution, in float32: those of a small `alpha` are near 0.

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26, 2000.
    """
    alpha = ops.broadcast_to(ops.cast(as_tensor(alpha), "float32"), shape)
    small = alpha < 1.0
    d = ops.where(small, alpha + 1.0, alpha) - 1 / 3
    c = ops.rsqrt(d * 9.0)
    x = ops.random_normal(generator.next(), shape=(_TRIES, *shape))
    u = logarithm_of_uniform((_TRIES, *shape), generator)
    root = x * c + 1.0
    log_v = ops.log(ops.maximum(root, 1e-30)) * 3.0
    taken = ops.logical_and(root > 0.0, u < x * x * 0.5 + d * (1.0 - ops.exp(log_v) + log_v))
    found = ops.zeros_like(d)
    for attempt in reversed(range(_TRIES)):
        found = ops.where(taken[attempt], log_v[attempt], found)
    return ops.log(d) + found + ops.where(small, logarithm_of_uniform(shape, generator) / alpha, 0.0)


def logarithm_of_uniform(shape: tuple[int, ...], generator: SeedGenerator) -> Tensor:
    """Return the logarithms of numbers from a uniform distribution, none of which is 0 or 1."""
    return ops.log(ops.maximum(ops.random_uniform(generator.next(), shape=shape), 2.0**-25))


def beta(
    shape: Shape,
    alpha: TensorLike,
    beta: TensorLike,
    dtype: DTypeLike | None = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Return numbers from the beta distribution, from 0 to 1.

    Args:
        shape: the shape.
        alpha: positive, a number or a tensor that broadcasts to the shape.
        beta: positive, a number or a tensor that broadcasts to the shape.
        dtype: a floating-point dtype; by default `config.floatx`.
        seed: as for `uniform`.

    Example:
        >>> float(ops.max(beta((100,), 0.5, 2.0, seed=1))) <= 1
        True
    """
    generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)
    return in_dtype("beta", log_odds_to_share(sizes("beta", shape), alpha, beta, generator), dtype)


def log_odds_to_share(shape: tuple[int, ...], a: TensorLike, b: TensorLike, generator: SeedGenerator) -> Tensor:
    """Return x / (x + y) for numbers x and y from two gamma distributions, in float32."""
    return ops.sigmoid(log_gamma(shape, a, generator) - log_gamma(shape, b, generator))
