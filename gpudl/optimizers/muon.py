"""Muon."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Unpack

from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.optimizers.optimizer import Optimizer
from gpudl.optimizers.options import LearningRate, Options, Shared

__all__ = ["Muon"]


class Muon(Optimizer):
    """Step along the momentum of a matrix made orthogonal; other variables are updated by AdamW.

    ``m = momentum * m + g``, and ``w -= learning_rate * scale * orthogonal(g + momentum * m)``, where `orthogonal`
    brings all singular values near 1 by a few steps of a Newton-Schulz iteration, and the scale is
    ``rms_rate * sqrt(the longer side)``.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the scale: Liu et al., "Muon
    is scalable for LLM training", 2025.

    Args:
        learning_rate: step size.
        adam_beta_1, adam_beta_2, epsilon: those of Adam, for variables that are not matrices.
        adam_weight_decay: its weight decay.
        weight_decay: that of the matrices.
        exclude_layers: patterns; a matrix is left to AdamW when one is found in its path.
        exclude_embeddings: leave embeddings to AdamW.
        muon_a, muon_b, muon_c: the coefficients of the iteration: ``x = a * x + (b * y + c * y @ y) @ x``, y = x x^T.
        adam_lr_ratio: the step size of AdamW in units of `learning_rate`.
        momentum: weight of the old momentum in each update.
        ns_steps: steps of the iteration.
        nesterov: use Nesterov momentum.
        rms_rate: see above; None for no scale.
        **options: as for `Optimizer`.

    Example:
        >>> w = gpudl.Variable([[1.0, 0.0], [0.0, 1.0]])
        >>> Muon(learning_rate=0.25, weight_decay=None, rms_rate=None).apply([[[2.0, 0.0], [0.0, 2.0]]], [w])
        >>> w.numpy().round(1)
        array([[0.7, 0. ],
               [0. , 0.7]], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Unpack[Shared],
    ) -> None:
        every: Options = {"weight_decay": weight_decay, **options}
        super().__init__(learning_rate, **every)
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = list(exclude_layers or ())
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate
        self._means: dict[int, tuple[Variable, Variable | None]] = {}  # m, and Adam's v, by the number of the variable

    def _is_left_to_adam(self, variable: Variable) -> bool:
        embedding = self.exclude_embeddings and "embedding" in variable.path.lower()
        return variable.ndim != 2 or embedding or any(re.search(p, variable.path) for p in self.exclude_layers)

    def _decay_of(self, variable: Variable) -> str:
        return super()._decay_of(variable) and ("adam_" * self._is_left_to_adam(variable) + "weight_decay")

    def add_state(self, variable: Variable) -> None:
        """Make the momentum, and for AdamW the moving average of the square."""
        m = self.add_variable_from_reference(variable, "momentum")
        adam = self._is_left_to_adam(variable)
        v = self.add_variable_from_reference(variable, "velocity") if adam else None
        self._means[self._get_variable_index(variable)] = m, v

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor | float) -> None:
        """Step along the orthogonal momentum, or as AdamW."""
        m, v = self._means[self._get_variable_index(variable)]
        rate = ops.cast_like(learning_rate, variable)
        if v is not None:
            options = {"beta_1": self.adam_beta_1, "beta_2": self.adam_beta_2, "epsilon": self.epsilon}
            ops.adam_(variable, m, v, gradient, rate * self.adam_lr_ratio, self.iterations, **options)
            return
        self.assign(m, m * self.momentum + gradient)
        step = self.zeropower_via_newtonschulz5(gradient + m * self.momentum if self.nesterov else m, self.ns_steps)
        self.assign_sub(variable, rate * self.lr_adjust(step))

    def lr_adjust(self, x: Tensor) -> Tensor:
        """Return a matrix times ``rms_rate * sqrt(the longer side)``."""
        return x if self.rms_rate is None else x * (math.sqrt(max(x.shape)) * self.rms_rate)

    def transpose_last_axis(self, X: Tensor) -> Tensor:  # noqa: N803 (Keras's name)
        """Return X with its last two axes exchanged."""
        return ops.transpose(X, (*range(X.ndim - 2), X.ndim - 1, X.ndim - 2))

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        """Return the matrix x with singular values near 1, by so many steps of the iteration."""
        tall = x.shape[0] > x.shape[1]
        if tall:
            x = self.transpose_last_axis(x)
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(steps):
            y = x @ self.transpose_last_axis(x)
            x = x * self.muon_a + (y * self.muon_b + y * self.muon_c @ y) @ x
        return self.transpose_last_axis(x) if tall else x
