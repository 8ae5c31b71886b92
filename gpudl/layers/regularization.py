"""Layers that regularize a network during training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

import numpy as np

from gpudl import ops, random, regularizers
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import Common, LayerOptions
from gpudl.random import SeedGenerator
from gpudl.registry import Config
from gpudl.utils.checks import require_number

__all__ = [
    "ActivityRegularization",
    "Dropout",
    "GaussianNoise",
]

MaskShape = Iterable[int | None] | None


class Dropout(Layer, complete=True):
    """In training, set a fraction of the inputs to 0 and scale the others so that the expected sum is unchanged.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.

    Args:
        rate: the fraction, from 0 (none is dropped) to 1 (all are).
        noise_shape: shape of the mask, which is broadcast to the inputs: each size is 1 or that of the inputs; None
            means that of the inputs.
        seed: an integer for reproducible masks.
        **options: those of `Layer`.

    Raises:
        ValueError: the rate is outside of [0, 1], or noise_shape is not a shape.
        ShapeError: noise_shape does not fit the inputs.

    Example:
        >>> x = np.ones((1, 4))
        >>> gpudl.layers.Dropout(0.5)(x).numpy()
        array([[1., 1., 1., 1.]], dtype=float32)
        >>> set(gpudl.layers.Dropout(0.5)(x, training=True).numpy().ravel().tolist()) <= {0.0, 2.0}
        True
    """

    supports_masking = True

    def __init__(
        self, rate: float, noise_shape: MaskShape = None, seed: int | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        who = type(self).__name__
        require_number(who, 0, 1, rate=rate)
        self.rate = rate
        self.noise_shape = None if noise_shape is None else _checked_noise_shape(who, noise_shape)
        self.seed = seed
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x, with dropout in training."""
        if not training or self.rate == 0:
            return x
        return random.dropout(self._floating(x), self.rate, self.noise_shape, self.seed_generator)


class GaussianNoise(Layer, complete=True):
    """In training, add Gaussian noise of mean 0 to the inputs.

    Args:
        stddev: the standard deviation of the noise, from 0 (none) to 1.
        seed: an integer for reproducible noise.
        **options: those of `Layer`.

    Raises:
        ValueError: stddev is outside of [0, 1].

    Example:
        >>> gpudl.layers.GaussianNoise(0.1)(np.ones((1, 4))).numpy()
        array([[1., 1., 1., 1.]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        require_number("GaussianNoise", 0, 1, stddev=stddev)
        self.stddev, self.seed = stddev, seed
        if stddev > 0:
            self.seed_generator = SeedGenerator(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x, with noise in training."""
        if not training or self.stddev == 0:
            return x
        x = self._floating(x)
        return x + ops.cast_like(
            random.normal(x.shape, stddev=self.stddev, dtype="float32", seed=self.seed_generator), x
        )


class ActivityRegularization(Layer, complete=True):
    """Return the inputs, and add their L1 and L2 penalty per sample to the loss.

    Args:
        l1: weight of the absolute values.
        l2: weight of the squares.
        **options: those of `Layer`.

    Raises:
        ValueError: a weight that is negative or no number.

    Example:
        >>> layer = gpudl.layers.ActivityRegularization(l1=0.5)
        >>> y = layer(np.array([[1.0, -3.0], [0.0, 2.0]]))
        >>> [float(loss) for loss in layer.losses]
        [1.5]
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **options: Unpack[Common]) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **options)
        self.l1, self.l2 = l1, l2

    def call(self, x: Tensor) -> Tensor:
        """Return the inputs."""
        return x

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        return {name: value for name, value in super().get_config().items() if name != "activity_regularizer"}


def _checked_noise_shape(who: str, noise_shape: object) -> tuple[int | None, ...]:
    """Return the shape of a mask as a tuple; raise ValueError, naming the layer `who`, for anything else."""
    sizes = tuple(noise_shape) if isinstance(noise_shape, list | tuple) else (noise_shape,)
    if not all(n is None or (isinstance(n, int | np.integer) and n > 0) for n in sizes):
        raise ValueError(f"{who}: noise_shape must be positive integers or None, got {noise_shape!r}.")
    return tuple(None if n is None else int(n) for n in sizes)
