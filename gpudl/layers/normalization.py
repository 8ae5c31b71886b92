"""Layers that bring their inputs to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

from gpudl import constraints, initializers, ops, regularizers
from gpudl.engine.spec import FLOAT32, ShapeError, is_half
from gpudl.engine.tensor import Tensor, Variable
from gpudl.layers.input_spec import InputSpec, Shape
from gpudl.layers.layer import Layer


class BatchNormalization(Layer):
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, channel by channel.

    In training, mean and variance are those of the batch, and moving averages follow them; otherwise, and in a layer
    with ``trainable=False``, they are the moving averages.

    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015.

    Args:
        axis: the axis of the channels.
        momentum: share of the old moving average that each training step keeps.
        epsilon: added to the variance, so that a constant channel divides by no 0.
        center: whether to add beta.
        scale: whether to multiply by gamma.
        beta_initializer: first values of beta, (channels,).
        gamma_initializer: first values of gamma, (channels,).
        moving_mean_initializer: first values of the moving mean, (channels,).
        moving_variance_initializer: first values of the moving variance, (channels,).
        beta_regularizer: penalty of beta.
        gamma_regularizer: penalty of gamma.
        beta_constraint: projection of beta after each update.
        gamma_constraint: projection of gamma after each update.
        **kwargs: those of `Layer`.

    Raises:
        ShapeError: inputs without such an axis, or with other channels than those it was built for.

    Example:
        >>> layer = gpudl.layers.BatchNormalization(epsilon=0.0)
        >>> layer(np.array([[1.0], [3.0]]), training=True).numpy()
        array([[-1.],
               [ 1.]], dtype=float32)
        >>> layer.moving_mean.numpy()
        array([0.02], dtype=float32)
    """

    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta where they are wanted, and the moving averages."""
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise ShapeError(f"axis {self.axis} is out of range for inputs of shape {input_shape}.")
        channels = input_shape[self.axis]
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self._one_each(
                channels, "gamma", self.gamma_initializer, self.gamma_regularizer, self.gamma_constraint
            )
        if self.center:
            self.beta = self._one_each(
                channels, "beta", self.beta_initializer, self.beta_regularizer, self.beta_constraint
            )
        self.moving_mean = self._one_each(channels, "moving_mean", self.moving_mean_initializer, trainable=False)
        self.moving_variance = self._one_each(
            channels, "moving_variance", self.moving_variance_initializer, trainable=False
        )
        self.input_spec = InputSpec(
            ndim=len(input_shape),
            axes={self.axis: self.moving_mean.size},
            hint=f"Later inputs must look like the first, {input_shape}.",
        )

    def _one_each(
        self,
        channels: int | None,
        name: str,
        initializer: Any,
        regularizer: Any = None,
        constraint: Any = None,
        trainable: bool = True,
    ) -> Variable:
        return self.add_weight(
            (channels,),
            initializer,
            trainable=trainable,
            regularizer=regularizer,
            constraint=constraint,
            name=name,
            autocast=False,
        )

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return the normalized inputs; in training also move the averages."""
        x = self._floating(x)
        if is_half(x.dtype):  # squares and means of such floats overflow, and moving averages would stand still
            wide = self._normalized(ops.cast(x, dtype=FLOAT32), training and self.trainable)
            y: Tensor = ops.cast(wide, dtype=self.compute_dtype)
            return y
        return self._normalized(x, training and self.trainable)

    def _normalized(self, x: Tensor, training: bool) -> Tensor:
        channels, last = self.axis % x.ndim, x.ndim - 1
        if channels == last:
            return self._by_channel(x, training)
        order = (*range(channels), *range(channels + 1, x.ndim), channels)
        back = (*range(channels), last, *range(channels, last))
        y: Tensor = ops.transpose(self._by_channel(ops.transpose(x, axes=order), training), axes=back)
        return y

    def _by_channel(self, x: Tensor, training: bool) -> Tensor:
        """Return the normalized inputs, whose last axis is that of the channels."""
        gamma = ops.ones_like(self.moving_variance) if self.gamma is None else self.gamma
        beta = ops.zeros_like(self.moving_mean) if self.beta is None else self.beta
        y: Tensor
        if training:
            y, mean, variance = ops.batch_norm(x, gamma, beta, epsilon=self.epsilon)
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance)
        else:
            scale = gamma / ops.sqrt(self.moving_variance + self.epsilon)
            y = ops.scale_shift(x, self.moving_mean, scale, beta)
        return y

    def _follow(self, moving: Variable, now: Tensor) -> None:
        moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
