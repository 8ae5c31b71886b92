"""Adagrad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options
from gpudl.utils.checks import require_number

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Divide the gradient by the root of the sum of all squared gradients so far.

    ``a += g**2; w -= learning_rate * g / sqrt(a + epsilon)``.

    Source: Duchi et al., "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 2011.

    Args:
        learning_rate: step size.
        initial_accumulator_value: initial value of a.
        epsilon: added to a, against division by 0.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> Adagrad(learning_rate=0.5, initial_accumulator_value=0.0).apply([[4.0]], [w])
        >>> w.numpy()
        array([0.5], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        require_number("Adagrad", 0, initial_accumulator_value=initial_accumulator_value, epsilon=epsilon)
        self.initial_accumulator_value = initial_accumulator_value
        self.slot_starts = {"accumulator": initial_accumulator_value}
        self.epsilon = epsilon

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the sum of the squares."""
        return (("accumulator",),)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step by the gradient over the root of the sum of squares."""
        total = slots["accumulator"]
        self.assign_add(total, ops.square(gradient))
        self.assign_sub(variable, learning_rate * gradient / ops.sqrt(total + self.epsilon))
