"""Layers that normalize groups of channels, or divide by a norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.spec import FLOAT32, ShapeError, is_half
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerNormOptions, LayerOptions
from gpudl.utils.checks import positive, require_number, require_whole

__all__ = [
    "GroupNormalization",
    "RMSNormalization",
    "UnitNormalization",
]

Axes = int | Sequence[int]


def _wide(x: Tensor) -> Tensor:
    """Return 16-bit floats in float32: their squares overflow."""
    return ops.cast(x, dtype=FLOAT32) if is_half(x.dtype) else x


def _axes(who: str, axis: Axes) -> Axes:
    several: list[int] = list(axis) if isinstance(axis, Sequence) else [axis]
    for one in several:
        require_whole(who, axis=one)
    return several if isinstance(axis, Sequence) else axis


def _places(axis: Axes, shape: Shape) -> tuple[int, ...]:
    """Return axes as non-negative numbers, in order."""
    several = axis if isinstance(axis, Sequence) else [axis]
    if not several or any(not -len(shape) <= a < len(shape) for a in several):
        raise ShapeError(f"axis {axis} does not fit inputs of shape {shape}: name axes that they have.")
    return tuple(sorted({a % len(shape) for a in several}))


class GroupNormalization(Layer, options=LayerNormOptions):
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of groups of channels.

    They are computed in each sample, over all places and the channels of a group.

    Source: Wu and He, "Group normalization", ECCV 2018.

    Args:
        groups: the number of groups, which divides that of channels; -1 for a group for each channel.
        axis: the axis of the channels.
        epsilon: added to the variance, to avoid a division by 0 for a constant group.
        center: whether to add beta.
        scale: whether to multiply by gamma.
        beta_initializer: initial values of beta, (channels,).
        gamma_initializer: initial values of gamma, (channels,).
        beta_regularizer: penalty of beta.
        gamma_regularizer: penalty of gamma.
        beta_constraint: projection of beta after each update.
        gamma_constraint: projection of gamma after each update.
        **options: those of `Layer`.

    Raises:
        ValueError: `groups` is neither positive nor -1.
        ShapeError: the channels cannot be divided into so many groups.

    Example:
        >>> gpudl.layers.GroupNormalization(2, epsilon=0.0)(np.array([[1.0, 3.0, 5.0, 5.5]])).numpy()
        array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    supports_masking = True

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **options: Unpack[LayerNormOptions],
    ) -> None:
        super().__init__(**options)
        self.groups = groups if groups == -1 else positive("GroupNormalization", groups=groups)
        require_whole("GroupNormalization", axis=axis)
        require_number("GroupNormalization", 0, epsilon=epsilon)
        self.axis, self.epsilon, self.center, self.scale = int(axis), float(epsilon), center, scale

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta, if they are used."""
        (self._channels,) = _places(self.axis, input_shape)
        channels = input_shape[self._channels]
        if channels is None or channels % (channels if self.groups == -1 else self.groups):
            raise ShapeError(
                f"{channels} channels of inputs {input_shape} cannot be divided into {self.groups} groups. Choose a "
                "number of groups that divides them, or -1 for a group for each."
            )
        self.gamma = self._add("gamma", (channels,), autocast=False) if self.scale else None
        self.beta = self._add("beta", (channels,), autocast=False) if self.center else None
        self.input_spec = InputSpec(
            ndim=len(input_shape),
            axes={self._channels: channels},
            hint=f"Later inputs must have the shape of the first, {input_shape}.",
        )

    def call(self, x: Tensor) -> Tensor:
        """Return the normalized inputs."""
        narrow = self._floating(x)
        y = _wide(narrow)
        shape, at = y.shape, self._channels
        groups = shape[at] if self.groups == -1 else self.groups
        apart = ops.reshape(y, (*shape[:at], groups, shape[at] // groups, *shape[at + 1 :]))
        over = tuple(a for a in range(1, apart.ndim) if a != at)
        centered = apart - ops.mean(apart, axis=over, keepdims=True)
        variance = ops.mean(ops.square(centered), axis=over, keepdims=True)
        y = ops.reshape(centered / ops.sqrt(variance + self.epsilon), shape)
        each = [n if a == at else 1 for a, n in enumerate(shape)]
        y = y if self.gamma is None else y * ops.reshape(self.gamma, each)
        y = y if self.beta is None else y + ops.reshape(self.beta, each)
        return ops.cast_like(y, narrow)


class RMSNormalization(Layer):
    """Return scale * x / sqrt(mean(x**2) + epsilon), sample by sample.

    Source: Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Args:
        axis: the axis, or the axes, of the mean and of the weight `scale`.
        epsilon: added to the mean, to avoid a division by 0.
        **options: those of `Layer`.

    Raises:
        ValueError: an axis is no integer.
        ShapeError: the inputs do not have the axes.

    Example:
        >>> gpudl.layers.RMSNormalization()(np.array([[3.0, 4.0]])).numpy().round(4)
        array([[0.8485, 1.1314]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, axis: Axes = -1, epsilon: float = 1e-6, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        require_number("RMSNormalization", 0, epsilon=epsilon)
        self.axis, self.epsilon = _axes("RMSNormalization", axis), float(epsilon)

    def build(self, input_shape: Shape) -> None:
        """Create the weight."""
        self._over = _places(self.axis, input_shape)
        self.scale = self.add_weight([input_shape[a] for a in self._over], "ones", autocast=False, name="scale")

    def call(self, x: Tensor) -> Tensor:
        """Return the normalized inputs."""
        narrow = self._floating(x)
        y = _wide(narrow)
        power = ops.mean(ops.square(y), axis=self._over, keepdims=True)
        scale = ops.reshape(self.scale, [n if a in self._over else 1 for a, n in enumerate(y.shape)])
        return ops.cast_like(y / ops.sqrt(power + self.epsilon) * scale, narrow)


class UnitNormalization(Layer, complete=True):
    """Return x / sqrt(sum(x**2)), sample by sample; zeros stay zeros.

    Args:
        axis: the axis, or the axes, of the sum.
        **options: those of `Layer`.

    Raises:
        ValueError: an axis is no integer.
        ShapeError: the inputs do not have the axes.

    Example:
        >>> gpudl.layers.UnitNormalization()(np.array([[3.0, 4.0], [0.0, 0.0]])).numpy()
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, axis: Axes = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.axis = _axes("UnitNormalization", axis)

    def call(self, x: Tensor) -> Tensor:
        """Return the normalized inputs."""
        narrow = self._floating(x)
        y = _wide(narrow)
        power = ops.sum(ops.square(y), axis=_places(self.axis, y.shape), keepdims=True)
        return ops.cast_like(y / ops.sqrt(ops.maximum(power, 1e-24)), narrow)
