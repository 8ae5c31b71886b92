"""More layers that drop or disturb what passes through them, in training."""

from __future__ import annotations

from typing import Unpack

from gpudl import config, ops, random
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.input_spec import InputSpec
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import DtypeLike, LayerOptions
from gpudl.layers.regularization import Dropout
from gpudl.random import SeedGenerator
from gpudl.random.generators import mask_shape
from gpudl.utils.checks import require_number

__all__ = [
    "AlphaDropout",
    "GaussianDropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]

_LIMIT = -1.7580993408473766  # of SELU for x to minus infinity


class SpatialDropout1D(Dropout):
    """In training, set whole features of sequences (batch, steps, features) to 0; see `Dropout`.

    Args:
        rate: the fraction, from 0 (none is dropped) to 1 (all are).
        seed: an integer for reproducible masks.
        name: a name; by default the class name in snake case, numbered.
        dtype: a dtype or policy.

    Example:
        >>> gpudl.layers.SpatialDropout1D(0.5)(np.ones((1, 2, 2))).numpy()[0]
        array([[1., 1.],
               [1., 1.]], dtype=float32)
    """

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: DtypeLike = None) -> None:
        super().__init__(rate, (None, 1, None), seed, name=name, dtype=dtype)
        self.input_spec = InputSpec(ndim=3, hint="Sequences are (batch, steps, features).")


class _OfImages(Dropout):
    """The base of dropout of whole channels, of inputs with `_rank` spatial axes."""

    _rank = 2

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: DtypeLike = None,
    ) -> None:
        self.data_format = config.check_data_format(data_format)
        places = (1,) * self._rank
        mask = (None, *places, None) if self.data_format == "channels_last" else (None, None, *places)
        super().__init__(rate, mask, seed, name=name, dtype=dtype)
        self.input_spec = InputSpec(ndim=self._rank + 2, hint="Add the missing axes: batch, places and channels.")


class SpatialDropout2D(_OfImages):
    """In training, set whole channels of images to 0; see `Dropout`.

    Args:
        rate: the fraction, from 0 (none is dropped) to 1 (all are).
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        seed: an integer for reproducible masks.
        name: a name; by default the class name in snake case, numbered.
        dtype: a dtype or policy.

    Example:
        >>> gpudl.layers.SpatialDropout2D(0.5)(np.ones((1, 2, 2, 3))).shape
        (1, 2, 2, 3)
    """


class SpatialDropout3D(_OfImages):
    """In training, set whole channels of volumes to 0; the arguments are those of `SpatialDropout2D`.

    Example:
        >>> gpudl.layers.SpatialDropout3D(0.5)(np.ones((1, 2, 2, 2, 3))).shape
        (1, 2, 2, 2, 3)
    """

    _rank = 3


class AlphaDropout(Dropout):
    """In training, set a fraction of the inputs to the limit of SELU, and keep mean and variance as they are.

    Source: Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.

    Args:
        rate: the fraction, from 0 (none is dropped) to 1.
        noise_shape: shape of the mask, as for `Dropout`.
        seed: an integer for reproducible masks.
        **options: those of `Layer`.

    Raises:
        ValueError: the rate is outside of [0, 1], or noise_shape is not a shape.

    Example:
        >>> gpudl.layers.AlphaDropout(0.5)(np.ones((1, 4))).numpy()
        array([[1., 1., 1., 1.]], dtype=float32)
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x, with dropout in training."""
        if not training or self.rate == 0:
            return x
        x = self._floating(x)
        kept = random.uniform(mask_shape(self.noise_shape, x.shape), seed=self.seed_generator) >= self.rate
        if self.rate == 1:
            zeros: Tensor = ops.zeros_like(x)
            return zeros
        factor = ((1 - self.rate) * (1 + self.rate * _LIMIT**2)) ** -0.5
        y: Tensor = ops.where(kept, x, _LIMIT) * factor - factor * _LIMIT * self.rate
        return y


class GaussianDropout(Layer, complete=True):
    """In training, multiply the inputs by Gaussian noise of mean 1, whose variance is that of dropout.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.

    Args:
        rate: the rate of the dropout with the same variance, from 0 (no noise) to less than 1.
        seed: an integer for reproducible noise.
        **options: those of `Layer`.

    Raises:
        ValueError: the rate is outside of [0, 1), where the variance would be infinite.

    Example:
        >>> gpudl.layers.GaussianDropout(0.5)(np.ones((1, 4))).numpy()
        array([[1., 1., 1., 1.]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, rate: float, seed: int | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        require_number("GaussianDropout", 0, 1, rate=rate)
        if rate == 1:
            raise ValueError("GaussianDropout: rate must be less than 1, where the variance of the noise is infinite.")
        self.rate, self.seed = rate, seed
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x, with noise in training."""
        if not training or self.rate == 0:
            return x
        x = self._floating(x)
        stddev = (self.rate / (1 - self.rate)) ** 0.5
        noise = random.normal(x.shape, mean=1.0, stddev=stddev, dtype="float32", seed=self.seed_generator)
        return x * ops.cast_like(noise, x)
