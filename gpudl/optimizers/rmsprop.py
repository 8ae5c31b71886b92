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
    """Divide the gradient by a running mean of its size.

    ``v = rho * v + (1 - rho) * g**2; w -= learning_rate * g / sqrt(v + epsilon)``. The centered form takes
    the square of the running mean of g off v; with momentum the steps are added up,
    ``m = momentum * m + step; w -= m``.

    Source: Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012; the centered form: Graves, "Generating
    sequences with recurrent neural networks", 2013, section 4.2.

    Args:
        learning_rate: step size.
        rho: share of the running means that is kept.
        momentum: share of the last step that is kept.
        epsilon: added to v, against division by 0.
        centered: divide by the standard deviation of the gradient instead of its size.
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
        """Return the running mean of the square, and what momentum and centering need."""
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
