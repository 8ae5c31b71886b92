"""Random initializers whose variance fits the number of inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gpudl.initializers.random_initializers import RandomInitializer, truncated
from gpudl.random import SeedGenerator

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "VarianceScaling",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "variance_scaling",
]

Axes = Sequence[int] | None
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
        return truncated(generator, shape) * (stddev / _TRUNCATED_STDDEV)

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


glorot_uniform, glorot_normal, variance_scaling = GlorotUniform, GlorotNormal, VarianceScaling
he_uniform, he_normal, lecun_uniform, lecun_normal = HeUniform, HeNormal, LecunUniform, LecunNormal
