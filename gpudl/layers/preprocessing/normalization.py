"""Numbers shifted and scaled to mean 0 and variance 1, by what data have shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.symbol import OpenShape
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.layers.preprocessing.adapting import batches_of
from gpudl.layers.preprocessing.has_vocabulary import plain
from gpudl.layers.preprocessing.host import array_of
from gpudl.registry import Config

__all__ = ["Normalization"]


class Normalization(Layer):
    """Shift and scale numbers to mean 0 and variance 1, along `axis`, by means and variances of data.

    They are weights that are not trained, which `adapt` sets, or constants that are given. Before that numbers stay as
    they are.

    Args:
        axis: the axes whose entries have means of their own, an integer or several; None for one mean of all.
        mean: the means, of the sizes of these axes, or as they broadcast to it.
        variance: the variances, given if and only if `mean` is.
        invert: whether to multiply by the deviation and add the mean, which undoes the layer without it.
        **kwargs: those of `Layer`.

    Raises:
        ValueError: one of `mean` and `variance` alone, shapes that differ, an axis that inputs lack or whose size is
            not known.

    Example:
        >>> layer = gpudl.layers.Normalization(axis=None)
        >>> layer.adapt(np.array([1.0, 2.0, 3.0, 4.0, 5.0], "float32"))
        >>> layer(np.array([[3.0], [5.0]])).numpy().round(3)
        array([[0.   ],
               [1.414]], dtype=float32)
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: ArrayLike | None = None,
        variance: ArrayLike | None = None,
        invert: bool = False,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.invert = invert
        if (mean is None) != (variance is None) or np.shape(mean) != np.shape(variance):  # type: ignore[arg-type]
            raise ValueError(
                f"{self._who()} needs both mean and variance, of one shape, or neither; got mean={mean!r} and "
                f"variance={variance!r}."
            )
        if mean is not None and np.ndim(mean) > len(self.axis):
            raise ValueError(
                f"{self._who()}: mean has {np.ndim(mean)} axes, expected at most those of axis={self.axis}, "
                f"{len(self.axis)}."
            )
        self.input_mean = None if mean is None else np.asarray(plain(mean), np.float32)
        self.input_variance = None if variance is None else np.asarray(plain(variance), np.float32)

    def build(self, input_shape: OpenShape) -> None:
        """Create the means and variances for inputs of `input_shape`."""
        ndim = len(input_shape)
        if any(not -ndim <= axis < ndim for axis in self.axis):
            raise ValueError(f"{self._who()}: axis={self.axis} is out of range for inputs of shape {input_shape}.")
        self._kept = tuple(sorted(axis % ndim for axis in self.axis))
        if any(input_shape[axis] is None for axis in self._kept):
            raise ValueError(
                f"{self._who()}: the size along axis={self.axis} must be known, got inputs of shape {input_shape}."
            )
        self._reduced = tuple(axis for axis in range(ndim) if axis not in self._kept)
        self._shape = tuple((input_shape[axis] or 0) if axis in self._kept else 1 for axis in range(ndim))
        if self.input_mean is None:
            sizes = tuple(input_shape[axis] for axis in self._kept)
            self.adapt_mean = self.add_weight(sizes, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(sizes, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")

    @property
    def mean(self) -> TensorLike:
        """The means, in a shape that broadcasts to the inputs."""
        return self._spread(self.input_mean, "adapt_mean")

    @property
    def variance(self) -> TensorLike:
        """The variances, in a shape that broadcasts to the inputs."""
        return self._spread(self.input_variance, "adapt_variance")

    def _spread(self, given: np.ndarray | None, learnt: str) -> TensorLike:
        if not self.built:
            raise AttributeError(f"{self._who()} has no mean and variance yet: call adapt(data) or build(shape) first.")
        if given is None:
            return ops.reshape(getattr(self, learnt), self._shape)
        sizes = np.ones(len(self._shape), int)
        for axis, size in zip(self._kept[::-1], given.shape[::-1], strict=False):
            sizes[axis] = size
        return np.broadcast_to(given.reshape(sizes), self._shape).astype(self.compute_dtype)

    def adapt(self, data: object) -> None:
        """Set the means and variances to those of `data`.

        Args:
            data: an array, or an iterable of batches, the inputs of tuples; a data set of single samples too if these
                have no axis of their own.

        Raises:
            ValueError: the layer was given its means, the data are of another shape than before, or there are none.
        """
        if self.input_mean is not None:
            raise ValueError(f"{self._who()}: adapt() learns mean and variance, and they were given. Leave them out.")
        batches = (
            array_of(batch[0] if isinstance(batch, tuple) else batch, self._who())
            for batch in batches_of(self._who(), data, lists=False)
        )
        first = next(batches, None)
        if first is None:
            raise ValueError(f"{self._who()}: adapt() needs data, and the iterable had no batch.")
        if not self.built:
            self.build((None, *first.shape[1:]) if 0 not in self._axes(first.ndim) else first.shape)
        mean, variance = self._moments(chain([first], batches))
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def _axes(self, ndim: int) -> set[int]:
        return {axis % ndim for axis in self.axis} if ndim else set()

    def _moments(self, batches: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance over batches, by their numbers of entries."""
        count, mean, variance = 0.0, np.zeros(()), np.zeros(())
        for batch in batches:
            self._require_fit(batch.shape)
            its_mean = np.mean(batch, axis=self._reduced, dtype=np.float64)
            its_variance = np.var(batch, axis=self._reduced, dtype=np.float64)
            entries = float(np.prod([batch.shape[axis] for axis in self._reduced]))
            count += entries
            share = entries / count
            moved = mean + (its_mean - mean) * share
            variance = (variance + (mean - moved) ** 2) * (1 - share) + (its_variance + (its_mean - moved) ** 2) * share
            mean = moved
        return mean, variance

    def _require_fit(self, shape: tuple[int, ...]) -> None:
        if len(shape) != len(self._shape) or any(shape[axis] != self._shape[axis] for axis in self._kept):
            built = tuple(size if axis in self._kept else None for axis, size in enumerate(self._shape))
            raise ValueError(f"{self._who()}: adapt() got data of shape {shape}, expected {built}.")

    def finalize_state(self) -> None:
        """Do nothing: the weights are read in each call."""

    def call(self, x: Tensor) -> Tensor:
        """Return the normalized numbers."""
        x = self._floating(x)
        deviation = ops.maximum(ops.sqrt(self.variance), config.epsilon())
        return x * deviation + self.mean if self.invert else (x - self.mean) / deviation

    def get_config(self) -> Config:
        """Return the arguments as plain data."""
        given = {"mean": plain(self.input_mean), "variance": plain(self.input_variance)}
        return {**super().get_config(), **given}
