"""A layer as a function of its variables, which it leaves as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gpudl.engine.stateless import StatelessScope
from gpudl.engine.tensor import TensorLike
from gpudl.engine.variable import Variable
from gpudl.layers.base.losses import HasLosses


class HasStatelessCall(HasLosses):
    """The base of layers that can be called as functions of their variables."""

    __call__: Callable[..., Any]
    _needs_build: Callable[[], bool]

    def stateless_call(
        self,
        trainable_variables: Sequence[TensorLike],
        non_trainable_variables: Sequence[TensorLike],
        *args: object,
        return_losses: bool = False,
        **kwargs: object,
    ) -> tuple[Any, ...]:
        """Return what a call would return if the variables had these values; they keep their own.

        Args:
            trainable_variables: a value for each of `trainable_variables`.
            non_trainable_variables: a value for each of `non_trainable_variables`.
            *args: the arguments of the call.
            return_losses: whether to return `losses` too, of the same values.
            **kwargs: those by keyword.

        Returns:
            The outputs, and what the non-trainable variables would hold afterwards; and then the losses.

        Raises:
            ValueError: a layer that is not built, or another number of values.

        Example:
            >>> layer = gpudl.layers.Dense(1, use_bias=False)
            >>> layer.build((None, 2))
            >>> layer.stateless_call([np.ones((2, 1))], [], np.ones((1, 2)))[0].numpy()
            array([[2.]], dtype=float32)
        """
        if not self.built and self._needs_build():
            raise ValueError(f"{self._who()} must be built before stateless_call(): call it on a batch, or build() it.")
        free = _matched(self._who(), "trainable_variables", self.trainable_variables, trainable_variables)
        fixed = _matched(self._who(), "non_trainable_variables", self.non_trainable_variables, non_trainable_variables)
        with StatelessScope([*free, *fixed]) as scope:
            outputs = self(*args, **kwargs)
            losses = self.losses if return_losses else []
        self.clear_losses()
        after = [scope.get_current_value(variable) for variable, _ in fixed]
        return (outputs, after, losses) if return_losses else (outputs, after)


def _matched(
    who: str, what: str, variables: Sequence[Variable], values: Sequence[TensorLike]
) -> list[tuple[Variable, TensorLike]]:
    if len(values) != len(variables):
        raise ValueError(
            f"{who}: Argument `{what}` must be a list of tensors, one for each of the {len(variables)} {what} of the "
            f"layer, got {len(values)}."
        )
    return list(zip(variables, values, strict=True))
