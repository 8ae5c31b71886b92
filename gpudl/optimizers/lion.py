"""Lion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options
from gpudl.utils.checks import require_number

__all__ = ["Lion"]


class Lion(Optimizer):
    """Take steps of one size in each weight, of the sign of a mean of momentum and gradient.

    ``w -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g); m = beta_2 * m + (1 - beta_2) * g``.

    Source: Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.

    Args:
        learning_rate: step size, a third to a tenth of that for Adam.
        beta_1: share of the momentum in the direction of the step, above 0.
        beta_2: weight of the old momentum in each update.
        **options: as for `Optimizer`.

    Raises:
        ValueError: a `beta_1` that is not above 0 and at most 1.

    Example:
        >>> w = gpudl.Variable([1.0, 1.0])
        >>> Lion(learning_rate=0.25).apply([[8.0, -0.5]], [w])
        >>> w.numpy()
        array([0.75, 1.25], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        require_number("Lion", 0, 1, beta_1=beta_1, beta_2=beta_2)
        if beta_1 == 0:
            raise ValueError(
                "Lion: beta_1 must be above 0, got 0: without momentum only the signs of gradients are left."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the momentum."""
        return (("momentum",),)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step against the sign."""
        m = slots["momentum"]
        direction = ops.sign(m * self.beta_1 + gradient * (1 - self.beta_1))
        self.assign_sub(variable, learning_rate * direction)
        self.assign(m, m * self.beta_2 + gradient * (1 - self.beta_2))
