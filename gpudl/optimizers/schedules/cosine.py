"""Cosine decay of learning rates."""

from __future__ import annotations

import math

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.schedules.base import LearningRateSchedule, as_rate, require_steps

__all__ = ["CosineDecay", "CosineDecayRestarts"]


class CosineDecay(LearningRateSchedule):
    """A rate that falls along half a cosine, after a straight line up where there is a warmup.

    In `warmup_steps` it goes from `initial_learning_rate` to `warmup_target`, and in `decay_steps` more down to `alpha`
    of that. Without a target there is no warmup.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    Args:
        initial_learning_rate: the initial learning rate.
        decay_steps: number of steps of the decay.
        alpha: the final rate, as a fraction of the highest.
        name: a name for reports.
        warmup_target: the highest rate.
        warmup_steps: number of steps of the warmup.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Example:
        >>> schedule = CosineDecay(0.0, decay_steps=10, warmup_target=1.0, warmup_steps=4)
        >>> [round(float(schedule(step)), 3) for step in (0, 2, 4, 9, 14, 20)]
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        require_steps("CosineDecay", decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate after `step` steps."""
        start, now = as_rate(self.initial_learning_rate), as_rate(step)
        if self.warmup_target is None:
            return self._fallen(ops.minimum(now, self.decay_steps), start)
        target = as_rate(self.warmup_target)
        now = ops.minimum(now, self.decay_steps + self.warmup_steps)
        fallen = self._fallen(now - self.warmup_steps, target)
        if not self.warmup_steps:
            return fallen
        return ops.where(now < self.warmup_steps, (target - start) * (now / self.warmup_steps) + start, fallen)

    def _fallen(self, step: Tensor, start: Tensor) -> Tensor:
        return start * ((1 - self.alpha) * _half_cosine(step / self.decay_steps) + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """A rate that falls along half a cosine, again and again, each time `t_mul` times as long and from `m_mul` as high.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    Args:
        initial_learning_rate: the initial learning rate.
        first_decay_steps: how long it falls the first time.
        t_mul: how many times as long it falls the next time.
        m_mul: how many times as high it begins the next time.
        alpha: the smallest rate, as a fraction of `initial_learning_rate`.
        name: a name for reports.

    Raises:
        ValueError: `first_decay_steps` is not above 0.

    Example:
        >>> schedule = CosineDecayRestarts(1.0, first_decay_steps=4, m_mul=0.5)
        >>> [round(float(schedule(step)), 3) for step in (0, 2, 4, 8, 12)]
        [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        require_steps("CosineDecayRestarts", first_decay_steps=first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate after `step` steps."""
        passed, longer = as_rate(step) / self.first_decay_steps, as_rate(self.t_mul)
        if self.t_mul == 1:
            restarts = ops.floor_divide(passed, 1.0)
            share = passed - restarts
        else:  # the terms of a geometric series
            restarts = ops.floor_divide(ops.log(1.0 - passed * (1.0 - longer)) / ops.log(longer), 1.0)
            length = ops.power(longer, restarts)
            share = (passed - (1.0 - length) / (1.0 - longer)) / length
        fallen = ops.power(as_rate(self.m_mul), restarts) * _half_cosine(share)
        return as_rate(self.initial_learning_rate) * ((1 - self.alpha) * fallen + self.alpha)


def _half_cosine(share: Tensor) -> Tensor:
    """Return a number that falls from 1 to 0 as `share` rises from 0 to 1."""
    return 0.5 * (1.0 + ops.cos(math.pi * share))
