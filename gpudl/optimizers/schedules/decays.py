"""Exponential, inverse-time and polynomial decay of learning rates."""

from __future__ import annotations

from collections.abc import Sequence

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.schedules.base import LearningRateSchedule, as_rate, require_steps

__all__ = ["ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay", "PolynomialDecay"]


class ExponentialDecay(LearningRateSchedule):
    """The rate ``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Args:
        initial_learning_rate: the initial learning rate.
        decay_steps: number of steps in which it falls by the factor `decay_rate`.
        decay_rate: the factor.
        staircase: change it only every `decay_steps` steps.
        name: a name for reports.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Example:
        >>> float(ExponentialDecay(1.0, decay_steps=10, decay_rate=0.5)(20))
        0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        require_steps("ExponentialDecay", decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate after `step` steps."""
        periods = _periods(step, self.decay_steps, self.staircase)
        return as_rate(self.initial_learning_rate) * ops.power(as_rate(self.decay_rate), periods)


class InverseTimeDecay(LearningRateSchedule):
    """The rate ``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Args:
        initial_learning_rate: the initial learning rate.
        decay_steps: the unit of time.
        decay_rate: how fast it falls.
        staircase: change it only every `decay_steps` steps.
        name: a name for reports.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Example:
        >>> float(InverseTimeDecay(1.0, decay_steps=1, decay_rate=0.5)(2))
        0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        require_steps("InverseTimeDecay", decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate after `step` steps."""
        periods = _periods(step, self.decay_steps, self.staircase)
        return as_rate(self.initial_learning_rate) / (1.0 + periods * self.decay_rate)


class PolynomialDecay(LearningRateSchedule):
    """A rate that falls to `end_learning_rate` in `decay_steps`, along a power of the time that is left.

    ``(initial - end) * (1 - step / decay_steps) ** power + end``; after that it stays, or, with `cycle`, begins again
    with twice, three times, ... as many steps.

    Args:
        initial_learning_rate: the initial learning rate.
        decay_steps: number of steps of the decay.
        end_learning_rate: the final learning rate.
        power: 1 for a straight line.
        cycle: whether to repeat the decay.
        name: a name for reports.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Example:
        >>> float(PolynomialDecay(1.0, decay_steps=4, end_learning_rate=0.0, power=2.0)(2))
        0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        require_steps("PolynomialDecay", decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate after `step` steps."""
        now, end = as_rate(step), as_rate(self.end_learning_rate)
        if self.cycle:
            begun = -ops.floor_divide(-now, float(self.decay_steps))
            share = now / (ops.where(now > 0, begun, 1.0) * self.decay_steps)
        else:
            share = ops.minimum(now, self.decay_steps) / self.decay_steps
        return (as_rate(self.initial_learning_rate) - end) * ops.power(1.0 - share, as_rate(self.power)) + end


class PiecewiseConstantDecay(LearningRateSchedule):
    """The rate ``values[0]`` up to step ``boundaries[0]``, ``values[1]`` up to step ``boundaries[1]``, and so on.

    Args:
        boundaries: rising numbers of steps.
        values: one more than there are boundaries.
        name: a name for reports.

    Raises:
        ValueError: another number of values.

    Example:
        >>> [float(PiecewiseConstantDecay([5, 10], [1.0, 0.5, 0.25])(step)) for step in (5, 6, 11)]
        [1.0, 0.5, 0.25]
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay needs one value more than boundaries, got {len(values)} values for "
                f"{len(boundaries)} boundaries."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate after `step` steps."""
        step, rate = as_tensor(step), as_rate(self.values[0])
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = ops.where(step > boundary, as_rate(value), rate)
        return rate


def _periods(step: Tensor, length: float, staircase: bool) -> Tensor:
    """Return how many periods of `length` steps have passed; with `staircase` only whole ones count."""
    periods = as_rate(step) / length
    return ops.floor_divide(periods, 1.0) if staircase else periods
