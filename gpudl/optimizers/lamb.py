"""Lamb."""

from __future__ import annotations

from collections.abc import Sequence

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.optimizers.moments import MomentOptimizer

__all__ = ["Lamb"]


class Lamb(MomentOptimizer):
    """Adam whose step is as long, in each variable, as the variable itself, times the learning rate.

    With m and v as for Adam and ``r = m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon)`` at update
    t = 1, 2, ...: ``w -= learning_rate * |w| / |r| * r``, where a norm of 0 counts as no ratio.

    Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020.

    Args:
        learning_rate: step size.
        beta_1: weight of the old m in each update.
        beta_2: weight of the old v in each update.
        epsilon: added to the root, against division by 0.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([3.0, 4.0])
        >>> Lamb(learning_rate=0.25).apply([[0.0, 8.0]], [w])
        >>> w.numpy().round(4)
        array([3.  , 2.75], dtype=float32)
    """

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the two moving averages."""
        return (("momentum", "velocity"),)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor | float) -> None:
        """Step along the mean gradient, by the length of the variable."""
        m, v = self.slots_of(variable)["momentum"], self.slots_of(variable)["velocity"]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        size = ops.sqrt(v / self.unbiased(self.beta_2, v)) + self.epsilon
        step = m / self.unbiased(self.beta_1, m) / size
        length, step_length = (ops.sqrt(ops.sum(ops.square(x))) for x in (variable, step))
        both = ops.logical_and(length > 0, step_length > 0)
        ratio = ops.where(both, length / ops.where(both, step_length, 1.0), 1.0)
        self.assign_sub(variable, ratio * ops.cast_like(learning_rate, variable) * step)
