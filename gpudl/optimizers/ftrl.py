"""Ftrl."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options
from gpudl.utils.checks import require_number

__all__ = ["Ftrl"]


class Ftrl(Optimizer):
    """Follow the regularized leader: the weights that would have been best so far, many of them exactly 0.

    With p = -learning_rate_power, n the accumulator and z the linear term:
    ``n' = n + g**2; z += g + 2 * shrinkage * w - (n'**p - n**p) / learning_rate * w``, and then
    ``w = (clip(z, -l1, l1) - z) / (n'**p / learning_rate + 2 * l2 + beta / learning_rate)``.

    Source: McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013.

    Args:
        learning_rate: step size.
        learning_rate_power: how the steps shrink as gradients add up, at most 0; 0 for steps of one size.
        initial_accumulator_value: initial value of n.
        l1_regularization_strength: weight of the L1 penalty.
        l2_regularization_strength: weight of the L2 penalty.
        l2_shrinkage_regularization_strength: the same, by the weights of now.
        beta: the paper's.
        **options: as for `Optimizer`.

    Raises:
        ValueError: a `learning_rate_power` above 0, or one of the others below 0.

    Example:
        >>> w = gpudl.Variable([0.0, 0.0])
        >>> optimizer = Ftrl(learning_rate=1.0, initial_accumulator_value=0.0, l1_regularization_strength=1.0)
        >>> optimizer.apply([[4.0, 0.5]], [w])
        >>> w.numpy()
        array([-0.75,  0.  ], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if learning_rate_power > 0:
            raise ValueError(f"Ftrl: learning_rate_power must be at most 0, got {learning_rate_power!r}.")
        require_number(
            "Ftrl",
            0,
            initial_accumulator_value=initial_accumulator_value,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength,
        )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.slot_starts = {"accumulator": initial_accumulator_value}
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the sum of the squares, and the linear term."""
        return (("accumulator", "linear"),)

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Set the weights to the best ones so far."""
        n, z = slots["accumulator"], slots["linear"]
        squares = n + ops.square(gradient)
        before, after = (self._size(x) / learning_rate for x in (n, squares))
        shrunk = variable * (2 * self.l2_shrinkage_regularization_strength)
        self.assign_add(z, gradient + shrunk - (after - before) * variable)
        curvature = after + (2 * self.l2_regularization_strength + self.beta / learning_rate)
        limit = self.l1_regularization_strength
        self.assign(variable, (ops.clip(z, -limit, limit) - z) / curvature)
        self.assign(n, squares)

    def _size(self, squares: Tensor) -> Tensor:
        root = self.learning_rate_power == -0.5
        return ops.sqrt(squares) if root else ops.power(squares, -self.learning_rate_power)
