"""Activation functions with parameters of their own, as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np

from gpudl import activations, constraints, initializers, ops, regularizers
from gpudl.engine.spec import ShapeError
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.registry import Identifier
from gpudl.utils.checks import positive, require_number, require_whole

__all__ = [
    "ELU",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Softmax",
]


class ReLU(Layer, complete=True):
    """Return x above a threshold, and below it 0 or a line of small slope; see `activations.relu`.

    Args:
        max_value: the largest value returned; None for no limit.
        negative_slope: the slope below the threshold.
        threshold: the value above which x is returned.
        **options: those of `Layer`.

    Raises:
        ValueError: a negative argument.

    Example:
        >>> gpudl.layers.ReLU(max_value=6.0)(np.array([[-1.0, 2.0, 9.0]])).numpy()
        array([[0., 2., 6.]], dtype=float32)
    """

    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        require_number("ReLU", 0, negative_slope=negative_slope, threshold=threshold)
        if max_value is not None:
            require_number("ReLU", 0, max_value=max_value)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, x: Tensor) -> Tensor:
        """Return relu(x)."""
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyOptions(LayerOptions, total=False):
    """The arguments of `Layer`, and the old name of one of `LeakyReLU`."""

    alpha: float


class LeakyReLU(Layer, complete=True):
    """Return x where it is positive, negative_slope * x elsewhere.

    Args:
        negative_slope: the slope below 0.
        **options: those of `Layer`, and ``alpha``, the old name of `negative_slope`.

    Raises:
        ValueError: a negative slope parameter.

    Example:
        >>> gpudl.layers.LeakyReLU(0.5)(np.array([[-1.0, 2.0]])).numpy()
        array([[-0.5,  2. ]], dtype=float32)
    """

    supports_masking = True

    _obsolete = ("alpha",)

    def __init__(self, negative_slope: float = 0.3, **options: Unpack[LeakyOptions]) -> None:
        if "alpha" in options:
            warn_user("LeakyReLU: alpha is the old name of negative_slope. Write negative_slope.")
            negative_slope = options.pop("alpha")
        super().__init__(**options)
        require_number("LeakyReLU", 0, negative_slope=negative_slope)
        self.negative_slope = negative_slope

    def call(self, x: Tensor) -> Tensor:
        """Return leaky_relu(x)."""
        return activations.leaky_relu(x, self.negative_slope)


class PReLU(Layer):
    """Return x where it is positive, alpha * x elsewhere, with a trainable alpha for each feature.

    Source: He et al., "Delving deep into rectifiers", ICCV 2015.

    Args:
        alpha_initializer: initial values of alpha, which has the shape of a sample.
        alpha_regularizer: penalty of alpha.
        alpha_constraint: projection of alpha after each update.
        shared_axes: axes along which there is one alpha for all, such as [1, 2] for images; axis 1 is the first of a
            sample.
        **options: those of `Layer`.

    Raises:
        ValueError: an axis is not a positive integer.
        ShapeError: the inputs do not have one of the axes.

    Example:
        >>> gpudl.layers.PReLU(alpha_initializer="ones")(np.array([[-1.0, 2.0]])).numpy()
        array([[-1.,  2.]], dtype=float32)
    """

    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Identifier = "Zeros",
        alpha_regularizer: Identifier = None,
        alpha_constraint: Identifier = None,
        shared_axes: int | Sequence[int] | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if axes is None else [positive("PReLU", shared_axes=axis) for axis in axes]

    def build(self, input_shape: Shape) -> None:
        """Create alpha."""
        shared = self.shared_axes or []
        if any(axis >= len(input_shape) for axis in shared):
            raise ShapeError(f"shared_axes {shared} are not all axes of inputs of shape {input_shape}.")
        self.alpha = self._add("alpha", [1 if a in shared else n for a, n in enumerate(input_shape) if a])

    def call(self, x: Tensor) -> Tensor:
        """Return x where it is positive, alpha * x elsewhere."""
        x = self._floating(x)
        return activations.relu(x) - self.alpha * activations.relu(-x)


class ELU(Layer, complete=True):
    """Return x where it is positive, alpha * (exp(x) - 1) elsewhere.

    Args:
        alpha: minus the limit for x to minus infinity.
        **options: those of `Layer`.

    Example:
        >>> gpudl.layers.ELU()(np.array([[-1.0, 2.0]])).numpy()
        array([[-0.63212055,  2.        ]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        require_number("ELU", alpha=alpha)
        self.alpha = alpha

    def call(self, x: Tensor) -> Tensor:
        """Return elu(x)."""
        return activations.elu(x, self.alpha)


class Softmax(Layer, complete=True):
    """Return exp(x) / sum(exp(x)) along an axis: positive numbers that sum to 1.

    Args:
        axis: the axis along which they sum to 1, or several.
        **options: those of `Layer`.

    Raises:
        ShapeError: the inputs do not have the axis.

    Example:
        >>> gpudl.layers.Softmax()(np.zeros((1, 4))).numpy()
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
        >>> gpudl.layers.Softmax()(np.zeros((1, 4)), mask=np.array([[True, False, True, False]])).numpy()
        array([[0.5, 0. , 0.5, 0. ]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        for one in axis if isinstance(axis, list | tuple) else (axis,):
            require_whole("Softmax", axis=one)
        self.axis = axis

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return softmax(x), of the numbers where a mask, which broadcasts to x, is true; the others become 0."""
        x = self._floating(x)
        return activations.softmax(x if mask is None else _only(x, mask), self.axis)


def _only(x: Tensor, mask: Tensor) -> Tensor:
    """Return x with a number that an exponential makes 0 of where the mask is false."""
    sizes = zip(reversed(mask.shape), reversed(x.shape), strict=False)
    if mask.ndim > x.ndim or any(one not in (1, other) for one, other in sizes):
        raise ShapeError(
            f"the mask of shape {mask.shape} does not broadcast to inputs of shape {x.shape}: each size must be 1 or "
            "that of the inputs. A mask of steps, (batch, steps), says nothing about features: leave it out by "
            "mask=None, or give one for each number."
        )
    return ops.where(mask, x, -3e4 if x.dtype == np.float16 else -1e9)
