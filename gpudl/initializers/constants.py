"""Initializers that draw no random numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gpudl import config
from gpudl.initializers.base import Initializer, Shape

__all__ = ["Constant", "Identity", "Ones", "Zeros", "constant", "identity", "ones", "zeros"]


class Constant(Initializer):
    """Every element is `value`.

    Example:
        >>> Constant(0.5)((2,))
        array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> np.ndarray:
        """Return an array filled with the value."""
        kept = np.empty(self._sizes(shape), dtype or config.float_dtype())
        try:
            kept[...] = self.value
        except ValueError:
            if np.ndim(self.value) == 0:
                raise
            raise ValueError(
                f"Constant: a value of shape {np.shape(self.value)} does not fit the shape {kept.shape}."
            ) from None
        return kept


class Zeros(Initializer):
    """Every element is 0."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> np.ndarray:
        """Return an array of zeros."""
        return np.zeros(self._sizes(shape), dtype or config.float_dtype())


class Ones(Initializer):
    """Every element is 1."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> np.ndarray:
        """Return an array of ones."""
        return np.ones(self._sizes(shape), dtype or config.float_dtype())


class Identity(Initializer):
    """The identity matrix times `gain`; for shapes with two axes.

    Example:
        >>> Identity(gain=2.0)((2, 2))
        array([[2., 0.],
               [0., 2.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> np.ndarray:
        """Return the identity matrix times the gain; raise ValueError unless there are two axes."""
        shape = self._sizes(shape)
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices, got the shape {shape}.")
        matrix: np.ndarray = self.gain * np.eye(shape[0], shape[1])
        return matrix.astype(dtype or config.float_dtype())


zeros, ones, constant, identity = Zeros, Ones, Constant, Identity
