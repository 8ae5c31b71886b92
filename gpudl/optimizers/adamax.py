"""Adamax."""

from __future__ import annotations

from collections.abc import Sequence

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.moments import MomentOptimizer

__all__ = ["Adamax"]


class Adamax(MomentOptimizer):
    """Adam with a decaying maximum of the gradient in place of the root mean square.

    ``m += (1 - beta_1) * (g - m); u = max(beta_2 * u, |g|); w -= learning_rate / (1 - beta_1**t) * m / (u + epsilon)``
    at update t = 1, 2, ...

    Source: Kingma and Ba, "Adam", ICLR 2015, section 7.1.

    Args:
        learning_rate: step size.
        beta_1: weight of the old m in each update.
        beta_2: weight of the old value of u in each update.
        epsilon: added to u, against division by 0.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> Adamax(learning_rate=0.25).apply([[8.0]], [w])
        >>> round(float(w[0]), 4)
        0.75
    """

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the moving average of the gradient and its largest size."""
        return (("momentum", "norm"),)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step along the mean gradient, over its largest size."""
        m, u = slots["momentum"], slots["norm"]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign(u, ops.maximum(u * self.beta_2, ops.absolute(gradient)))
        self.assign_sub(variable, learning_rate * m / (self.unbiased(self.beta_1, m) * (u + self.epsilon)))
