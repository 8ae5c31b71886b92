"""Initializers that draw random numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpudl import config
from gpudl.engine.spec import is_floating
from gpudl.initializers.base import Initializer, Shape
from gpudl.random import SeedGenerator, make_default_seed
from gpudl.utils.checks import require_number

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "Orthogonal",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
]

Axes = Sequence[int] | None


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

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; a seed that was not given stays None."""
        found = super().get_config()
        return found | {"seed": None} if self._arguments.get("seed") is None else found

    def __call__(self, shape: Shape, dtype: Any = None) -> np.ndarray:
        """Return random numbers; raises ValueError when `dtype` is no float."""
        kind = np.dtype(dtype or config.float_dtype())
        if not is_floating(kind):
            raise ValueError(f"{type(self).__name__} makes floats, got dtype {kind}.")
        return self.draw(self._generator(), self._sizes(shape)).astype(kind)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return float64 numbers of `shape` from `generator`: what a subclass writes."""
        raise NotImplementedError(f"{type(self).__name__} needs a draw(generator, shape).")

    def _generator(self) -> np.random.Generator:
        """Return a generator keyed by the seed and the number of the draw."""
        if isinstance(self.seed, SeedGenerator):
            key = self.seed.next().numpy().view(np.uint64)
        else:
            key = np.array([self.seed & 0xFFFF_FFFF_FFFF_FFFF, 0], np.uint64)
        return np.random.Generator(np.random.Philox(key=key))


class RandomUniform(RandomInitializer):
    """Numbers spread evenly from minval to maxval.

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
        """Return evenly spread numbers."""
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
        return self.mean + self.stddev * _truncated(generator, shape)


def _truncated(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal numbers from [-2, 2]."""
    draws = np.asarray(generator.standard_normal(shape))
    while (far := np.abs(draws) > 2).any():
        draws[far] = generator.standard_normal(int(far.sum()))
    return draws


# The standard deviation of a standard normal distribution truncated to [-2, 2]:
# sqrt(1 - 4 * pdf(2) / (cdf(2) - cdf(-2))).
_TRUNCATED_STDDEV = 0.87962566103423978

_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(RandomInitializer):
    """Random numbers of variance ``scale / n``, n the number of inputs, of outputs, or their mean.

    Args:
        scale: the factor, above 0.
        mode: what n is: ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``.
        distribution: ``"truncated_normal"`` (at two standard deviations; also called ``"normal"``),
            ``"untruncated_normal"`` or ``"uniform"``.
        seed: as for every `RandomInitializer`.
        input_axes: the axes of the shape that count as inputs. By default a matrix is (inputs, outputs) and
            a convolution kernel (*window, inputs, outputs), where the window counts for both.
        output_axes: the axes that count as outputs; given together with `input_axes`.

    Raises:
        ValueError: an unknown mode or distribution, or a scale of 0 or less.

    Example:
        >>> VarianceScaling(scale=2.0, mode="fan_out", seed=1)((3, 3, 8, 16)).shape
        (3, 3, 8, 16)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | SeedGenerator | None = None,
        input_axes: Axes = None,
        output_axes: Axes = None,
    ) -> None:
        super().__init__(seed)
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if scale <= 0:
            raise ValueError(f"scale must be above 0, got {scale}.")
        for name, value, known in (("mode", mode, _MODES), ("distribution", distribution, _DISTRIBUTIONS)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return numbers whose variance fits the shape."""
        fan_in, fan_out = self._fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * stddev
            return generator.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, stddev, shape)
        return _truncated(generator, shape) * (stddev / _TRUNCATED_STDDEV)

    def _fans(self, shape: tuple[int, ...]) -> tuple[int, int]:
        if self.input_axes is not None and self.output_axes is not None:
            return math.prod(shape[a] for a in self.input_axes), math.prod(shape[a] for a in self.output_axes)
        if len(shape) <= 1:
            return math.prod(shape), math.prod(shape)
        window = math.prod(shape[:-2])
        return window * shape[-2], window * shape[-1]


class _Preset(VarianceScaling):
    """A `VarianceScaling` with fixed scale, mode and distribution."""

    rule: tuple[float, str, str]

    def __init__(
        self, seed: int | SeedGenerator | None = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        super().__init__(*self.rule, seed, input_axes, output_axes)


class GlorotUniform(_Preset):
    """Uniform numbers within sqrt(6 / (inputs + outputs)): Glorot and Bengio, AISTATS 2010.

    Example:
        >>> bool((abs(GlorotUniform(seed=1)((2, 4))) <= 1).all())
        True
    """

    rule = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Preset):
    """Truncated normal numbers of variance 2 / (inputs + outputs): Glorot and Bengio, AISTATS 2010."""

    rule = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Preset):
    """Uniform numbers within sqrt(6 / inputs): He et al., "Delving deep into rectifiers", ICCV 2015."""

    rule = (2.0, "fan_in", "uniform")


class HeNormal(_Preset):
    """Truncated normal numbers of variance 2 / inputs: He et al., ICCV 2015."""

    rule = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Preset):
    """Uniform numbers within sqrt(3 / inputs): LeCun et al., "Efficient backprop", 1998."""

    rule = (1.0, "fan_in", "uniform")


class LecunNormal(_Preset):
    """Truncated normal numbers of variance 1 / inputs: LeCun et al., "Efficient backprop", 1998."""

    rule = (1.0, "fan_in", "truncated_normal")


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
        """Return an orthogonal matrix; raises ValueError for shapes with less than two axes."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape with at least two axes, got {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = generator.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q = q * np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


random_uniform, random_normal, truncated_normal, orthogonal = RandomUniform, RandomNormal, TruncatedNormal, Orthogonal
glorot_uniform, glorot_normal, variance_scaling = GlorotUniform, GlorotNormal, VarianceScaling
he_uniform, he_normal, lecun_uniform, lecun_normal = HeUniform, HeNormal, LecunUniform, LecunNormal
