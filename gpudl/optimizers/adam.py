"""Adam, and AdamW with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.moments import MomentOptimizer
from gpudl.optimizers.options import LearningRate, Options, Shared

__all__ = ["Adam", "AdamW"]


class Adam(MomentOptimizer):
    """Step along a moving average of the gradient, divided by the root of that of its square.

    ``m += (1 - beta_1) * (g - m); v += (1 - beta_2) * (g**2 - v); w -= alpha * m / (sqrt(v) + epsilon)``
    with ``alpha = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)`` at update t = 1, 2, ...

    Source: Kingma and Ba, "Adam", ICLR 2015, end of section 2; amsgrad: Reddi et al., "On the convergence of
    Adam and beyond", ICLR 2018.

    Args:
        learning_rate: step size.
        beta_1: weight of the old m in each update.
        beta_2: weight of the old v in each update.
        epsilon: added to the root, against division by 0.
        amsgrad: divide by the largest v so far.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> Adam(learning_rate=0.25).apply([[8.0]], [w])
        >>> round(float(w[0]), 4)
        0.75
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self.amsgrad = amsgrad

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the two moving averages, and with amsgrad the largest one of the square."""
        both = (("momentum", "velocity"),)
        return (*both, ("velocity_hat",)) if self.amsgrad else both

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step along the mean gradient, over the root of its mean square."""
        m, v = slots["momentum"], slots["velocity"]
        if not self.amsgrad:
            ops.adam_(
                variable,
                m,
                v,
                gradient,
                learning_rate,
                self.iterations,
                beta_1=self.beta_1,
                beta_2=self.beta_2,
                epsilon=self.epsilon,
            )
            return
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        largest = slots["velocity_hat"]
        self.assign(largest, ops.maximum(largest, v))
        alpha = learning_rate * ops.sqrt(self.unbiased(self.beta_2, v)) / self.unbiased(self.beta_1, m)
        self.assign_sub(variable, alpha * m / (ops.sqrt(largest) + self.epsilon))


class AdamW(Adam):
    """Adam with decoupled weight decay: first ``w -= w * weight_decay * learning_rate``.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Args:
        learning_rate: step size.
        weight_decay: fraction of each weight, times the learning rate, that is subtracted at each update; see
            `exclude_from_weight_decay`.
        beta_1: weight of the old m in each update.
        beta_2: weight of the old v in each update.
        epsilon: added to the root, against division by 0.
        amsgrad: divide by the largest v so far.
        **options: as for `Optimizer`.

    Raises:
        ValueError: weight_decay is None.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> AdamW(learning_rate=0.25, weight_decay=0.5).apply([[0.0]], [w])
        >>> w.numpy()
        array([0.875], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Shared],
    ) -> None:
        if weight_decay is None:
            raise ValueError("AdamW needs a number as weight_decay, got None. Use Adam for no decay.")
        every: Options = {"weight_decay": weight_decay, **options}
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, **every)
