"""Penalties on weights, added to the loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor
from gpudl.registry import Configurable, Family

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


class Regularizer(Configurable):
    """The base of all regularizers: a function from a tensor to a scalar tensor."""

    def __call__(self, x: ArrayLike) -> Tensor:
        """Return the penalty of `x`, a scalar in its dtype."""
        raise NotImplementedError(f"{type(self).__name__} needs a __call__(x) that returns a scalar tensor.")


class L1L2(Regularizer):
    """The penalty ``l1 * sum(|x|) + l2 * sum(x**2)``.

    Args:
        l1: weight of the absolute values.
        l2: weight of the squares.

    Raises:
        ValueError: a weight that is negative, not finite, or no number.

    Example:
        >>> float(L1L2(l1=1.0, l2=0.5)([1.0, -2.0]))
        5.5
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _weight("l1", l1, 0.0)
        self.l2 = _weight("l2", l2, 0.0)

    def __call__(self, x: ArrayLike) -> Tensor:
        """Return the penalty of `x`, a scalar in its dtype."""
        x = as_tensor(x)
        parts = [L1(self.l1)(x)] if self.l1 else []
        parts += [L2(self.l2)(x)] if self.l2 else []
        if not parts:
            return as_tensor(0.0, like=x)
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


class L1(Regularizer):
    """The penalty ``l1 * sum(|x|)``, which drives weights to 0.

    Args:
        l1: weight of the absolute values.

    Raises:
        ValueError: a weight that is negative, not finite, or no number.

    Example:
        >>> float(L1(0.5)([1.0, -2.0]))
        1.5
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _weight("l1", l1, 0.01)

    def __call__(self, x: ArrayLike) -> Tensor:
        """Return the penalty of `x`, a scalar in its dtype."""
        return ops.sum(ops.absolute(x)) * self.l1


class L2(Regularizer):
    """The penalty ``l2 * sum(x**2)``, which keeps weights small.

    Args:
        l2: weight of the squares.

    Raises:
        ValueError: a weight that is negative, not finite, or no number.

    Example:
        >>> float(L2(0.5)([1.0, -2.0]))
        2.5
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _weight("l2", l2, 0.01)

    def __call__(self, x: ArrayLike) -> Tensor:
        """Return the penalty of `x`, a scalar in its dtype."""
        return ops.sum(ops.square(x)) * self.l2


class OrthogonalRegularizer(Regularizer):
    """The penalty of rows, or columns, of a matrix that are not at right angles: the mean of |cos| of two of them.

    Args:
        factor: weight of the mean.
        mode: ``"rows"`` or ``"columns"``.

    Raises:
        ValueError: a weight that is negative, not finite, or no number; another mode; in a call, what is no matrix.

    Example:
        >>> float(OrthogonalRegularizer(factor=0.5)([[2.0, 0.0], [3.0, 4.0]]))
        0.30000001192092896
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _weight("factor", factor, 0.01)
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode must be 'rows' or 'columns', got {mode!r}.")
        self.mode = mode

    def __call__(self, x: ArrayLike) -> Tensor:
        """Return the penalty of the matrix `x`, a scalar in its dtype."""
        x = as_tensor(x)
        if x.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer needs a matrix, got shape {x.shape}.")
        if self.mode == "columns":
            x = ops.transpose(x)
        rows = x / ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=1, keepdims=True)), config.epsilon())
        size = x.shape[0]
        others = 1.0 - np.eye(size, dtype=x.dtype)
        total = ops.sum(ops.absolute((rows @ ops.transpose(rows)) * others))
        return total * (0.5 * self.factor) / (size * (size - 1) / 2)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

REGULARIZERS: Family[Callable[[Tensor], Tensor], None] = Family("regularizer", Regularizer)
get, serialize, deserialize = REGULARIZERS.get, REGULARIZERS.serializer("regularizer"), REGULARIZERS.deserialize
REGULARIZERS.add(globals())


def _weight(name: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a number of at least 0, got {value!r}.")
    return float(value)
