"""AdamW without a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options
from gpudl.utils.checks import require_number

__all__ = ["ScheduleFreeAdamW"]


class ScheduleFreeAdamW(Optimizer):
    """Adam whose weights lie between a fast sequence and the mean of it, so that no learning rate has to fall.

    With v the moving average of ``g**2``, z the fast sequence and x its mean, at update t = 1, 2, ...:
    ``z' = z - learning_rate * g / (sqrt(v / (1 - beta_2**t)) + epsilon); x' = (1 - 1/t) * x + z' / t``, and then
    ``w = (1 - beta_1) * z' + beta_1 * x'``. What is kept is w and z, from which x follows.

    Source: Defazio et al., "The road less scheduled", NeurIPS 2024.

    Args:
        learning_rate: step size.
        beta_1: share of the mean in the weights, above 0.
        beta_2: weight of the old v in each update.
        epsilon: added to the root, against division by 0.
        warmup_steps: over so many updates the learning rate rises in a straight line.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> ScheduleFreeAdamW(learning_rate=0.25).apply([[8.0]], [w])
        >>> round(float(w[0]), 4)
        0.75
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        require_number("ScheduleFreeAdamW", 0, 1, beta_1=beta_1, beta_2=beta_2)
        require_number("ScheduleFreeAdamW", 0, epsilon=epsilon, warmup_steps=warmup_steps)
        self.slot_starts = {"momentum": None}
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the fast sequence, which Keras calls momentum, and the moving average of the square."""
        return (("momentum", "velocity"),)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step along the fast sequence, and go on with its mean."""
        z, v = slots["momentum"], slots["velocity"]
        t = ops.cast_like(self.iterations + 1, variable)
        if self.warmup_steps > 0:
            learning_rate = learning_rate * ops.minimum(t / self.warmup_steps, 1.0)
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        size = ops.sqrt(v / self.unbiased(self.beta_2, v)) + self.epsilon
        mean = (variable - z * (1 - self.beta_1)) / self.beta_1
        self.assign_sub(z, learning_rate * gradient / size)
        mean = mean * (1.0 - 1.0 / t) + z * (1.0 / t)
        self.assign(variable, z * (1 - self.beta_1) + mean * self.beta_1)
