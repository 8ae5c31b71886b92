"""The arguments of Adam and of those that derive from it: two moving averages and what is added to a root."""

from __future__ import annotations

from typing import Unpack

from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options
from gpudl.utils.checks import require_number


class MomentOptimizer(Optimizer):
    """The base of optimizers with moving averages of the gradient and of its size; see `Adam` for the arguments."""

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        kind = type(self).__name__
        require_number(kind, 0, 1, beta_1=beta_1, beta_2=beta_2)
        require_number(kind, 0, epsilon=epsilon)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
