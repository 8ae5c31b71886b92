"""Nadam."""

from __future__ import annotations

from collections.abc import Sequence

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.optimizers.layout import Run
from gpudl.optimizers.moments import MomentOptimizer
from gpudl.optimizers.updates import Gradients

__all__ = ["Nadam"]


class Nadam(MomentOptimizer):
    """Adam with Nesterov momentum.

    With ``u(t) = beta_1 * (1 - 0.96**t / 2)``, U(t) the product of u(1) to u(t), and m and v as for Adam:
    ``w -= learning_rate * m_hat / (sqrt(v / (1 - beta_2**t)) + epsilon)`` where
    ``m_hat = u(t+1) * m / (1 - U(t+1)) + (1 - u(t)) * g / (1 - U(t))``.

    Source: Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop.

    Args:
        learning_rate: step size.
        beta_1: weight of the old m in each update.
        beta_2: weight of the old v in each update.
        epsilon: added to the root, against division by 0.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> Nadam(learning_rate=0.25).apply([[8.0]], [w])
        >>> round(float(w[0]), 4)
        0.7343
    """

    _product: Variable | None = None

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the two moving averages."""
        return (("momentum", "velocity"),)

    def add_state(self, variable: Variable) -> None:
        """Make U, in the dtype of the first variable."""
        if self._product is None:
            self._product = self.add_variable((), "ones", variable.dtype, name="variable")

    def _share(self, ahead: int) -> Tensor:
        t = ops.cast(self.iterations + ahead, "float64")
        return self.beta_1 * (1.0 - 0.5 * ops.power(0.96, t))

    def _step(self, variables: Sequence[Variable], grads: Gradients, rate: Tensor, runs: Sequence[Run]) -> None:
        assert self._product is not None
        self.assign(self._product, self._product * ops.cast_like(self._share(1), self._product))
        super()._step(variables, grads, rate, runs)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step along the mean gradient of the next step, over the root of its mean square."""
        assert self._product is not None
        m, v = slots["momentum"], slots["velocity"]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        now, following = (ops.cast_like(self._share(ahead), variable) for ahead in (1, 2))
        product = ops.cast_like(self._product, variable)
        mean = following * m / (1.0 - product * following) + (1.0 - now) * gradient / (1.0 - product)
        size = ops.sqrt(v / self.unbiased(self.beta_2, v)) + self.epsilon
        self.assign_sub(variable, mean * learning_rate / size)
