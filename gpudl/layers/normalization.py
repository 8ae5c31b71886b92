"""Layers that normalize their inputs to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Unpack

import numpy as np
from numpy.typing import DTypeLike

from gpudl import config, ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import FLOAT32, ShapeError, is_half
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.initializers import Initializer
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import BatchNormOptions, LayerNormOptions
from gpudl.utils.checks import require_number, require_whole

__all__ = [
    "BatchNormalization",
    "LayerNormalization",
]


def _cast(x: Tensor, dtype: np.dtype) -> Tensor:
    return x if x.dtype == dtype else ops.cast(x, dtype=dtype)


class BatchNormalization(Layer, options=BatchNormOptions):
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, channel by channel.

    In training, mean and variance are those of the batch, without masked steps, and moving averages follow
    them; otherwise, and in a layer with ``trainable=False``, they are the moving averages.

    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015; Ioffe, "Batch renormalization", 2017.

    Args:
        axis: the axis of the channels.
        momentum: weight of the old moving average in each update.
        epsilon: added to the variance, to avoid a division by 0 for a constant channel.
        center: whether to add beta.
        scale: whether to multiply by gamma.
        beta_initializer: initial values of beta, (channels,).
        gamma_initializer: initial values of gamma, (channels,).
        moving_mean_initializer: initial values of the moving mean, (channels,).
        moving_variance_initializer: initial values of the moving variance, (channels,).
        beta_regularizer: penalty of beta.
        gamma_regularizer: penalty of gamma.
        beta_constraint: projection of beta after each update.
        gamma_constraint: projection of gamma after each update.
        renorm: whether to correct, in training, the mean and the variance of a batch by other moving averages.
        renorm_clipping: limits of the correction: ``"rmin"`` and ``"rmax"`` of the factor, ``"dmax"`` of the shift.
        renorm_momentum: weight of the old value in the moving averages of the correction.
        synchronized: without effect: one device computes a batch.
        **options: those of `Layer`.

    Raises:
        ValueError: unknown or impossible limits.
        ShapeError: the inputs do not have the axis, or have another number of channels than it was built for.

    Example:
        >>> layer = gpudl.layers.BatchNormalization(epsilon=0.0)
        >>> layer(np.array([[1.0], [3.0]]), training=True).numpy()
        array([[-1.],
               [ 1.]], dtype=float32)
        >>> layer.moving_mean.numpy()
        array([0.02], dtype=float32)
    """

    supports_masking = True
    gamma: Variable | None
    beta: Variable | None
    renorm: bool
    renorm_clipping: dict[str, float] | None
    renorm_momentum: float
    moving_mean_initializer: Initializer
    moving_variance_initializer: Initializer

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **options: Unpack[BatchNormOptions],
    ) -> None:
        super().__init__(**options)
        (axis,) = axis if isinstance(axis, list | tuple) and len(axis) == 1 else (axis,)  # a list in Keras 2's files
        require_whole("BatchNormalization", axis=axis)
        require_number("BatchNormalization", 0, epsilon=epsilon)
        require_number("BatchNormalization", 0, 1, momentum=momentum, renorm_momentum=self.renorm_momentum)
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        limits = self.renorm_clipping or {}
        if limits.keys() - {"rmin", "rmax", "dmax"}:
            raise ValueError(f"BatchNormalization: renorm_clipping may have rmin, rmax and dmax, got {limits}.")
        if limits.get("rmax", inf) < limits.get("rmin", 0.0) or limits.get("dmax", 0.0) < 0:
            raise ValueError(f"BatchNormalization: renorm_clipping needs rmin <= rmax and 0 <= dmax, got {limits}.")

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta, if they are used, and the moving averages."""
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise ShapeError(f"axis {self.axis} is out of range for inputs of shape {input_shape}.")
        channels = input_shape[self.axis]
        each = (channels,)
        self.gamma = self._add("gamma", each, autocast=False) if self.scale else None
        self.beta = self._add("beta", each, autocast=False) if self.center else None
        self.moving_mean = self._add("moving_mean", each, trainable=False, autocast=False)
        self.moving_variance = self._add("moving_variance", each, trainable=False, autocast=False)
        if self.renorm:

            def deviation(shape: Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
                return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

            self.moving_stddev = self._add("moving_stddev", each, False, False, initializer=deviation)
            self.renorm_mean = self._add("renorm_mean", each, False, False, initializer=self.moving_mean_initializer)
            self.renorm_stddev = self._add("renorm_stddev", each, False, False, initializer=deviation)
        self.input_spec = InputSpec(
            ndim=len(input_shape),
            axes={self.axis: self.moving_mean.size},
            hint=f"Later inputs must have the shape of the first, {input_shape}.",
        )

    def call(self, x: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        """Return the normalized inputs; in training also update the moving averages.

        A mask of the shape of the inputs without the last axis, with sizes of 1 where one is for all, says which of
        them mean and variance are taken of.
        """
        x = self._floating(x)
        training = training and self.trainable
        counted = None if mask is None or not training else _counted(mask, x)
        if is_half(x.dtype):  # squares and sums of 16-bit floats overflow, and moving averages would not change
            return ops.cast(self._normalized(ops.cast(x, dtype=FLOAT32), training, counted), dtype=self.compute_dtype)
        return self._normalized(x, training, counted)

    def _normalized(self, x: Tensor, training: bool, counted: Tensor | None) -> Tensor:
        channels, last = self.axis % x.ndim, x.ndim - 1
        if channels == last:
            return self._by_channel(x, training, counted)
        order = (*range(channels), *range(channels + 1, x.ndim), channels)
        back = (*range(channels), last, *range(channels, last))
        counted = None if counted is None else ops.transpose(counted, axes=order)
        return ops.transpose(self._by_channel(ops.transpose(x, axes=order), training, counted), axes=back)

    def _by_channel(self, x: Tensor, training: bool, counted: Tensor | None) -> Tensor:
        """Return the normalized inputs, with the channels along the last axis."""
        gamma = ops.ones_like(self.moving_variance) if self.gamma is None else self.gamma
        beta = ops.zeros_like(self.moving_mean) if self.beta is None else self.beta
        y: Tensor
        if training and self.renorm:
            return self._renormalized(x, gamma, beta, counted)
        if training:
            if counted is None:
                y, mean, variance = ops.batch_norm(x, gamma, beta, epsilon=self.epsilon)
            else:
                mean, variance = _moments(x, ops.cast_like(counted, x))
                y = (x - mean) * (gamma / ops.sqrt(variance + self.epsilon)) + beta
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance)
        else:
            scale = gamma / ops.sqrt(self.moving_variance + self.epsilon)
            y = ops.scale_shift(x, self.moving_mean, scale, beta)
        return y

    def _renormalized(self, x: Tensor, gamma: Tensor, beta: Tensor, counted: Tensor | None) -> Tensor:
        """Return the inputs normalized by the batch, and corrected towards what moving averages would make of them."""
        weight = ops.ones_like(x) if counted is None else ops.cast_like(counted, x)
        mean, variance = _moments(x, weight)
        deviation, limits = ops.sqrt(variance + self.epsilon), self.renorm_clipping or {}
        usual = ops.maximum(self.renorm_stddev, self.epsilon**0.5)
        shift = limits.get("dmax", inf)
        r = ops.stop_gradient(ops.clip(deviation / usual, limits.get("rmin", 0.0), limits.get("rmax", inf)))
        d = ops.stop_gradient(ops.clip((mean - self.renorm_mean) / usual, -shift, shift))
        y = ((x - mean) / deviation * r + d) * gamma + beta
        self._follow(self.renorm_mean, mean, self.renorm_momentum)
        self._follow(self.renorm_stddev, deviation, self.renorm_momentum)
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_stddev, deviation)
        self.moving_variance.assign(ops.maximum(ops.square(self.moving_stddev) - self.epsilon, 0.0))
        return y

    def _follow(self, moving: Variable, now: Tensor, momentum: float | None = None) -> None:
        share = self.momentum if momentum is None else momentum
        moving.assign(moving * share + now * (1.0 - share))


def _counted(mask: Tensor, x: Tensor) -> Tensor:
    """Return the mask of steps with the shape of x."""
    if mask.ndim != x.ndim - 1 or any(n not in (1, m) for n, m in zip(mask.shape, x.shape[:-1], strict=True)):
        raise ShapeError(
            f"the mask of shape {mask.shape} does not fit inputs of shape {x.shape}: it has a value for each step, "
            f"{x.shape[:-1]}. Give such a mask, or mask=None."
        )
    return ops.broadcast_to(ops.expand_dims(mask, -1), x.shape)


def _moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted mean and variance of each channel; 0 where no step counts."""
    axes = tuple(range(x.ndim - 1))
    count = ops.sum(weight, axis=axes) + config.epsilon()
    mean = ops.sum(x * weight, axis=axes) / count
    return mean, ops.sum(ops.square(x - mean) * weight, axis=axes) / count


class LayerNormalization(Layer, options=LayerNormOptions):
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, sample by sample.

    Mean and variance are computed along `axis`, in training and in inference.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    Args:
        axis: the axis, or the axes, along which a sample is normalized.
        epsilon: added to the variance, to avoid a division by 0 for a constant sample.
        center: whether to add beta.
        scale: whether to multiply by gamma.
        beta_initializer: initial values of beta, whose shape is that of the inputs along `axis`.
        gamma_initializer: initial values of gamma, of the same shape.
        beta_regularizer: penalty of beta.
        gamma_regularizer: penalty of gamma.
        beta_constraint: projection of beta after each update.
        gamma_constraint: projection of gamma after each update.
        **options: those of `Layer`.

    Raises:
        TypeError: an axis is not an integer.
        ShapeError: the inputs do not have the axes, or have other sizes along them than it was built for.

    Example:
        >>> gpudl.layers.LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0], [5.0, 5.5]])).numpy()
        array([[-1.,  1.],
               [-1.,  1.]], dtype=float32)
    """

    supports_masking = True
    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self,
        axis: int | list[int] | tuple[int, ...] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **options: Unpack[LayerNormOptions],
    ) -> None:
        super().__init__(**options)
        self.autocast = False
        several = list(axis) if isinstance(axis, list | tuple) else [axis]
        if not several or not all(isinstance(a, int | np.integer) for a in several):
            raise TypeError(f"LayerNormalization: axis must be an integer or a list of them, got {axis!r}.")
        require_number("LayerNormalization", 0, epsilon=epsilon)
        self.axis = several if isinstance(axis, list | tuple) else axis
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta, if they are used."""
        ndim = len(input_shape)
        several = self.axis if isinstance(self.axis, list) else [self.axis]
        if any(not -ndim <= a < ndim for a in several) or len({a % ndim for a in several}) < len(several):
            raise ShapeError(f"axis {self.axis} does not fit inputs of shape {input_shape}: name each axis once.")
        self._axes = tuple(sorted(a % ndim for a in several))
        sizes = tuple(input_shape[a] for a in self._axes)
        self.gamma = self._add("gamma", sizes, autocast=False) if self.scale else None
        self.beta = self._add("beta", sizes, autocast=False) if self.center else None
        known = {a: n for a, n in zip(self._axes, sizes, strict=True) if n is not None}
        hint = f"Later inputs must have the shape of the first, {input_shape}."
        self.input_spec = InputSpec(ndim=ndim, axes=known, hint=hint)

    def call(self, x: Tensor) -> Tensor:
        """Return the normalized inputs, which are not rounded to 16 bits even if the outputs are."""
        wide = FLOAT32 if is_half(self._computes_in) else self._computes_in
        return _cast(self._normalized(_cast(x, wide)), self._computes_in)

    def _normalized(self, x: Tensor) -> Tensor:
        order = (*(a for a in range(x.ndim) if a not in self._axes), *self._axes)
        if order == tuple(range(x.ndim)):
            return self._by_row(x)
        return ops.transpose(self._by_row(ops.transpose(x, axes=order)), axes=tuple(map(int, np.argsort(order))))

    def _by_row(self, x: Tensor) -> Tensor:
        """Return the normalized inputs, with the axes of `axis` last."""
        count = len(self._axes)
        length = prod(x.shape[-count:])
        flat = (lambda t: t) if count == 1 else (lambda t: ops.reshape(t, (*t.shape[:-count], length)))
        gamma = as_tensor(np.ones(length, x.dtype)) if self.gamma is None else flat(self.gamma)
        beta = as_tensor(np.zeros(length, x.dtype)) if self.beta is None else flat(self.beta)
        y: Tensor = ops.layer_norm(flat(x), gamma, beta, epsilon=self.epsilon)[0]
        return y if count == 1 else ops.reshape(y, x.shape)
