"""Low-rank updates of the matrix of a layer, for fine-tuning."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gpudl import initializers
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.layers.base.layer import Layer
from gpudl.registry import Config, Identifier
from gpudl.utils.checks import positive, require_number


class LowRank(Layer):
    """The base of layers with a matrix that can be frozen and get a trainable update of low rank.

    Source: Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022.

    Attributes:
        lora_enabled: whether there is an update.
    """

    _adapted: ClassVar[str] = "kernel"
    lora_enabled = False
    _rank: int | None = None
    _alpha: float | None = None
    _factors: tuple[Variable, ...] = ()

    @property
    def lora_rank(self) -> int | None:
        """The rank of the update that there is, or that `build` adds; None for no update."""
        return self._rank

    @lora_rank.setter
    def lora_rank(self, rank: int | None) -> None:
        self._rank = None if rank is None else positive(type(self).__name__, lora_rank=rank)

    @property
    def lora_alpha(self) -> float | None:
        """The update is multiplied by lora_alpha / lora_rank; by default the rank."""
        return self._rank if self._alpha is None else self._alpha

    @lora_alpha.setter
    def lora_alpha(self, alpha: float | None) -> None:
        if alpha is not None:
            require_number(type(self).__name__, lora_alpha=alpha)
        self._alpha = alpha

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Identifier = "he_uniform",
        b_initializer: Identifier = "zeros",
    ) -> None:
        """Freeze the matrix, and add to it a trainable product of two small ones, times lora_alpha / rank.

        What is saved is the sum. Call `compile` again afterwards.

        Args:
            rank: the size that the two matrices share.
            lora_alpha: by default the rank.
            a_initializer: initial values of the first, (inputs, rank).
            b_initializer: initial values of the second, (rank, outputs).

        Raises:
            ValueError: the layer is not built, has an update already, or constrains the matrix.

        Example:
            >>> layer = gpudl.layers.Dense(100)
            >>> layer.build((None, 200))
            >>> layer.enable_lora(4)
            >>> [(v.name, v.shape) for v in layer.trainable_weights]
            [('bias', (100,)), ('lora_kernel_a', (200, 4)), ('lora_kernel_b', (4, 100))]
        """
        self._require_free()
        who = self._who()
        if not self.built:
            raise ValueError(f"{who} has no {self._adapted} yet: build() it, or call it on data, before enable_lora().")
        if self.lora_enabled:
            raise ValueError(f"{who} has LoRA already, of rank {self.lora_rank}.")
        starts = initializers.get(a_initializer), initializers.get(b_initializer)
        self.lora_alpha, self.lora_rank = lora_alpha, positive(type(self).__name__, rank=rank)
        self._add_update(*starts)

    def _require_free(self) -> None:
        """Raise ValueError if a constraint of the matrix would have to hold with the update."""
        name = self._adapted
        if getattr(self, f"{name}_constraint", None) is not None:
            raise ValueError(
                f"{self._who()}: a constraint of the {name} would not hold with LoRA. Leave {name}_constraint out."
            )

    def _add_update(self, a_initializer: Identifier = "he_uniform", b_initializer: Identifier = "zeros") -> None:
        """Add the factors of the update, if there is to be one; `build` ends with it."""
        if self.lora_rank is None:
            return
        self._require_free()
        name = self._adapted
        matrix: Variable = getattr(self, name)
        regularizer = getattr(self, f"{name}_regularizer", None)
        made = []
        for part, shape, start in (
            ("a", (*matrix.shape[:-1], self.lora_rank), a_initializer),
            ("b", (self.lora_rank, matrix.shape[-1]), b_initializer),
        ):
            factor = self.add_weight(shape, start, "float32", regularizer=regularizer, name=f"lora_{name}_{part}")
            factor.path = matrix.path.removesuffix(matrix.name) + factor.name
            setattr(self, factor.name, factor)
            made.append(factor)
        matrix.wanted = matrix.trainable = self._saved_as_they_are = False
        self._factors, self.lora_enabled = tuple(made), True

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data; those of the update if there is one, as in Keras."""
        config = super().get_config()
        update = {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        if self.lora_rank is not None:
            return config | update
        return {name: value for name, value in config.items() if name not in update}

    @property
    def _lora_scale(self) -> float:
        return (self.lora_alpha or 0.0) / (self.lora_rank or 1)

    def _updated(self, y: Tensor, reduced: Tensor) -> Tensor:
        """Return y, a result of the matrix, plus that of the update; `reduced` is that of its first factor."""
        return y + (reduced @ self._factors[1]) * self._lora_scale

    def _whole(self) -> Tensor:
        """Return the matrix with its update."""
        matrix: Variable = getattr(self, self._adapted)
        return matrix if not self.lora_enabled else self._updated(matrix, self._factors[0])

    def _stored(self) -> list[Variable]:
        return list(self._own)  # the matrix stays the first though it is frozen

    def _saved(self) -> list[Variable]:
        return [v for v in self._own if all(v is not factor for factor in self._factors)]

    def _arrays_to_save(self) -> list[np.ndarray]:
        arrays = super()._arrays_to_save()
        if self.lora_enabled:
            a, b = (factor.numpy() for factor in self._factors)
            arrays[0] = (arrays[0] + self._lora_scale * (a @ b)).astype(arrays[0].dtype)
        return arrays

    def _loaded(self) -> None:
        if self.lora_enabled:  # the matrix has it in it; with both zero, neither could be trained
            self._factors[1].assign(np.zeros(self._factors[1].shape, np.float32))
