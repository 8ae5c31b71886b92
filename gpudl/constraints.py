"""Constraints: projections of a layer's weights after each update."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor
from gpudl.registry import Configurable, Family

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

Axis = int | Sequence[int]


class Constraint(Configurable):
    """The base of all constraints: a function from weights to weights of the same shape."""

    def __call__(self, w: ArrayLike) -> Tensor:
        """Return `w`, projected."""
        raise NotImplementedError(f"{type(self).__name__} needs a __call__(w) that returns the new weights.")


class NonNeg(Constraint):
    """Sets negative weights to 0.

    Example:
        >>> NonNeg()([-1.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """

    def __call__(self, w: ArrayLike) -> Tensor:
        """Return max(w, 0)."""
        return ops.maximum(w, 0.0)


class MinMaxNorm(Constraint):
    """Scales weight vectors so that their norms move into a range.

    Args:
        min_value: the smallest L2 norm.
        max_value: the largest L2 norm.
        rate: the fraction of the distance to the range that is moved at each update, from 0 to 1.
        axis: the axes that make up one vector: 0 for the inputs of a Dense unit, (0, 1, 2) for a filter of
            Conv2D.

    Example:
        >>> MinMaxNorm(min_value=1.0, max_value=2.0)([[3.0], [4.0]]).numpy().round(3)
        array([[1.2],
               [1.6]], dtype=float32)
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: ArrayLike) -> Tensor:
        """Return `w` with its norms moved towards the range."""
        w = as_tensor(w)
        norms = _norms(w, self.axis)
        wanted = ops.clip(norms, self.min_value, self.max_value)
        if self.rate != 1:
            wanted = wanted * self.rate + norms * (1 - self.rate)
        return w * (wanted / (norms + config.epsilon()))


class MaxNorm(Constraint):
    """Scales weight vectors down to a maximal norm.

    Source: Srivastava et al., "Dropout", JMLR 2014, section 5.1.

    Args:
        max_value: the largest L2 norm.
        axis: the axes that make up one vector, as for `MinMaxNorm`.

    Example:
        >>> MaxNorm(max_value=2)([[3.0], [4.0]]).numpy().round(3)
        array([[1.2],
               [1.6]], dtype=float32)
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: ArrayLike) -> Tensor:
        """Return `w` with no norm above the largest."""
        return MinMaxNorm(0.0, self.max_value, 1.0, self.axis)(w)


class UnitNorm(Constraint):
    """Scales weight vectors to norm 1.

    Args:
        axis: the axes that make up one vector, as for `MinMaxNorm`.

    Example:
        >>> UnitNorm()([[3.0], [4.0]]).numpy().round(3)
        array([[0.6],
               [0.8]], dtype=float32)
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: ArrayLike) -> Tensor:
        """Return `w` over its norms."""
        w = as_tensor(w)
        return w / (_norms(w, self.axis) + config.epsilon())


def _norms(w: Tensor, axis: Axis) -> Tensor:
    along = axis if isinstance(axis, int) else tuple(axis)
    return ops.sqrt(ops.sum(ops.square(w), axis=along, keepdims=True))


non_neg, max_norm, min_max_norm, unit_norm = NonNeg, MaxNorm, MinMaxNorm, UnitNorm

CONSTRAINTS: Family[Callable[[Tensor], Tensor], None] = Family("constraint", Constraint)
get, serialize, deserialize = CONSTRAINTS.get, CONSTRAINTS.serializer("constraint"), CONSTRAINTS.deserialize
CONSTRAINTS.add(globals())
