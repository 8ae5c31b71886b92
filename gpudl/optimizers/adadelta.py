"""Adadelta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options
from gpudl.utils.checks import require_number

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Take steps of the size of earlier steps, in units of the size of the gradient.

    With ``rms(x) = sqrt(x + epsilon)`` and moving averages a of ``g**2`` and d of ``step**2``:
    ``step = rms(d) / rms(a) * g; w -= learning_rate * step``.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    Args:
        learning_rate: step size; 1 is that of the paper.
        rho: weight of the old moving averages in each update.
        epsilon: added to them, against division by 0.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> Adadelta(learning_rate=1.0, rho=0.75, epsilon=1.0).apply([[2.0]], [w])
        >>> round(float(w[0]), 4)
        -0.4142
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        require_number("Adadelta", 0, 1, rho=rho)
        require_number("Adadelta", 0, epsilon=epsilon)
        self.rho = rho
        self.epsilon = epsilon

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the moving averages of the squares of gradients and steps."""
        return (("accumulated_grad", "accumulated_delta_var"),)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step by the gradient, scaled to the size of earlier steps."""
        squares, steps = slots["accumulated_grad"], slots["accumulated_delta_var"]
        self.assign(squares, squares * self.rho + ops.square(gradient) * (1 - self.rho))
        step = ops.sqrt(steps + self.epsilon) * gradient / ops.sqrt(squares + self.epsilon)
        self.assign(steps, steps * self.rho + ops.square(step) * (1 - self.rho))
        self.assign_sub(variable, learning_rate * step)
