"""RMSprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options
from gpudl.utils.checks import require_number

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Divide the gradient by its moving root mean square.

    ``v = rho * v + (1 - rho) * g**2; w -= learning_rate * g / sqrt(v + epsilon)``. The centered form subtracts
    the square of the moving average of g from v; with momentum the steps are accumulated,
    ``m = momentum * m + step; w -= m``.

    Source: Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012; the centered form: Graves, "Generating
    sequences with recurrent neural networks", 2013, section 4.2.

    Args:
        learning_rate: step size.
        rho: weight of the old moving averages in each update.
        momentum: weight of the last step in each update.
        epsilon: added to v, against division by 0.
        centered: divide by the standard deviation of the gradient instead of its root mean square.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> RMSprop(learning_rate=0.1, rho=0.75).apply([[4.0]], [w])
        >>> w.numpy()
        array([0.8], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        require_number("RMSprop", 0, 1, rho=rho)
        require_number("RMSprop", 0, momentum=momentum, epsilon=epsilon)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the moving average of the square, and the slots of momentum and centering."""
        wanted = {"velocity": True, "momentum": self.momentum > 0, "average_gradient": self.centered}
        return tuple((name,) for name, there in wanted.items() if there)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step by the normalized gradient."""
        v = slots["velocity"]
        if len(slots) == 1:
            ops.rmsprop_(variable, v, gradient, learning_rate, rho=self.rho, epsilon=self.epsilon)
            return
        self._follow(v, ops.square(gradient))
        variance = v
        if self.centered:
            mean = slots["average_gradient"]
            self._follow(mean, gradient)
            variance = v - ops.square(mean)
        step = learning_rate * gradient / ops.sqrt(variance + self.epsilon)
        if self.momentum > 0:
            m = slots["momentum"]
            self.assign(m, m * self.momentum + step)
            step = m
        self.assign_sub(variable, step)

    def _follow(self, mean: Tensor, value: Tensor) -> None:
        self.assign(mean, mean * self.rho + value * (1 - self.rho))
