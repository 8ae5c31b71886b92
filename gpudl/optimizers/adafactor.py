"""Adafactor."""

from __future__ import annotations

from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Divide the gradient by the root of its mean square, which a matrix keeps by rows and columns only.

    With t = 1, 2, ... the number of the update, ``beta = 1 - t**beta_2_decay`` and ``s = g**2 + epsilon_1``: the
    moving averages r of s over each row and c over each column make ``v = r / mean(r) * c``; a vector keeps v itself.
    Then ``u = g / sqrt(v)``, ``u /= max(1, rms(u) / clip_threshold)``, and
    ``w -= max(epsilon_2, rms(w)) * min(learning_rate, 1 / sqrt(t)) * u``.

    Source: Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018.

    Args:
        learning_rate: the largest step size, relative to the size of the weights.
        beta_2_decay: how fast the moving averages become slow, below 0.
        epsilon_1: added to the square of the gradient.
        epsilon_2: the smallest size of weights.
        clip_threshold: the largest root mean square of a step in units of its size.
        relative_step: let the step size fall as 1 / sqrt(t), where `learning_rate` is a number.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([[1.0, 1.0]])
        >>> Adafactor(learning_rate=0.25).apply([[[8.0, -8.0]]], [w])
        >>> w.numpy()
        array([[0.75, 1.25]], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step
        self._means: dict[int, tuple[Variable, Variable, Variable]] = {}  # r, c and v by the number of the variable

    def add_state(self, variable: Variable) -> None:
        """Create the means by rows and columns, which are unused scalars for a vector, and the whole mean."""
        shape = variable.shape
        rows, columns = (shape[:-1], (*shape[:-2], shape[-1])) if len(shape) > 1 else ((), ())
        r, c = (self.add_variable(size, dtype=variable.dtype, name=variable.name) for size in (rows, columns))
        v = self.add_variable_from_reference(variable, "velocity")
        self._means[self._get_variable_index(variable)] = r, c, v

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor | float) -> None:
        """Step by the normalized gradient."""
        r, c, v = self._means[self._get_variable_index(variable)]
        t = ops.cast_like(self.iterations + 1, variable)
        size = ops.minimum(ops.cast_like(learning_rate, variable), 1.0 / ops.sqrt(t))
        new = ops.power(t, self.beta_2_decay)
        squares = ops.square(gradient) + self.epsilon_1
        if variable.ndim > 1:
            self.assign(r, r * (1.0 - new) + ops.mean(squares, axis=-1) * new)
            self.assign(c, c * (1.0 - new) + ops.mean(squares, axis=-2) * new)
            share = r / ops.mean(r, axis=-1, keepdims=True)
            self.assign(v, ops.expand_dims(share, -1) * ops.expand_dims(c, -2))
        else:
            self.assign(v, v * (1.0 - new) + squares * new)
        step = gradient / ops.sqrt(v)
        step = step / ops.maximum(_rms(step) / self.clip_threshold, 1.0)
        self.assign_sub(variable, ops.maximum(_rms(variable), self.epsilon_2) * size * step)


def _rms(x: Tensor) -> Tensor:
    return ops.sqrt(ops.mean(ops.square(x)))
