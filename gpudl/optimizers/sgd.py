"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options
from gpudl.utils.checks import require_number

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent, optionally with momentum.

    Without momentum ``w -= learning_rate * g``. With it ``m = momentum * m - learning_rate * g`` and
    ``w += m``, or with Nesterov's form ``w += momentum * m - learning_rate * g``.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    Args:
        learning_rate: step size.
        momentum: weight of the last step in each update, in [0, 1].
        nesterov: use Nesterov momentum.
        **options: as for `Optimizer`.

    Raises:
        ValueError: a momentum outside [0, 1].

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> optimizer = SGD(learning_rate=0.1, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.apply([[1.0]], [w])
        >>> w.numpy()
        array([0.75], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        require_number("SGD", 0, 1, momentum=momentum)
        self.momentum = float(momentum)
        self.nesterov = nesterov

    def slot_names(self) -> Sequence[tuple[str, ...]]:
        """Return the momentum, if it is used."""
        return (("momentum",),) if self.momentum else ()

    def flat_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor, **slots: Tensor) -> None:
        """Step against the gradient."""
        if not slots:
            ops.sgd_(variable, gradient, learning_rate)
            return
        ops.sgd_momentum_(
            variable,
            slots["momentum"],
            gradient,
            learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )
