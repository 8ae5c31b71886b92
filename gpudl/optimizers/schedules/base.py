"""The base of all learning rate schedules."""

from __future__ import annotations

import numpy as np

from gpudl import backend, ops
from gpudl.config import float_dtype
from gpudl.engine.convert import constant
from gpudl.engine.tensor import Tensor
from gpudl.registry import Configurable, Family

__all__ = ["LearningRateSchedule"]


class LearningRateSchedule(Configurable):
    """The base of all schedules: a function from the count of steps to the learning rate.

    An optimizer calls it with its count of steps, which the device keeps, inside the step that is recorded. So a
    subclass computes with ops, and the learning rate of each step is computed where it is used.

    Example:
        >>> class Halving(LearningRateSchedule):
        ...     def __init__(self, start):
        ...         self.start = start
        ...     def __call__(self, step):
        ...         return self.start * 0.5 ** gpudl.ops.cast(step, "float32")
        >>> optimizer = gpudl.optimizers.SGD(Halving(0.5))
        >>> w = gpudl.Variable([1.0])
        >>> for _ in range(2):
        ...     optimizer.apply([[1.0]], [w])
        >>> w.numpy()
        array([0.25], dtype=float32)
    """

    def __call__(self, step: Tensor) -> Tensor | float:
        """Return the learning rate after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} needs a __call__(step) that returns the learning rate.")


SCHEDULES: Family[LearningRateSchedule, None] = Family("learning rate schedule", LearningRateSchedule, functions=False)


def as_rate(value: Tensor | float) -> Tensor:
    """Return a number or a count as a 0-d tensor in the default float dtype."""
    dtype = np.dtype(float_dtype())
    if not isinstance(value, Tensor):
        return constant(float(value), dtype, backend.current())
    return ops.cast(value, dtype)


def require_steps(kind: str, **steps: float) -> None:
    """Raise ValueError unless each number of steps is above 0."""
    for name, value in steps.items():
        if value <= 0:
            raise ValueError(f"{kind}: {name} must be above 0, got {value!r}.")
