"""The losses of a layer: the penalties of its weights, and losses that its calls add."""

from __future__ import annotations

from typing import NoReturn

from gpudl.engine.state import state
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor
from gpudl.layers.base.weights import HasWeights


class HasLosses(HasWeights):
    """The base of layers that implements their losses."""

    _added_losses: list[Tensor]

    def add_loss(self, loss: Tensor | list[Tensor] | tuple[Tensor, ...]) -> None:
        """Add to the loss that training minimises, for this call of the model; call it in `call` or `build`.

        Args:
            loss: a tensor, whose elements are summed, or a list of them.

        Raises:
            ValueError: something that is not a tensor, or a symbolic one.

        Example:
            >>> class Sparse(gpudl.layers.Layer):
            ...     def call(self, x):
            ...         self.add_loss(0.1 * gpudl.ops.sum(abs(x)))
            ...         return x
            >>> layer = Sparse()
            >>> y = layer(np.array([[1.0, -2.0]]))
            >>> [float(loss) for loss in layer.losses]
            [0.30000001192092896]
        """
        several = list(loss) if isinstance(loss, list | tuple) else [loss]
        for one in several:
            if isinstance(one, KerasTensor) or not isinstance(one, Tensor):
                what = "a symbolic tensor, which has no value" if isinstance(one, KerasTensor) else f"{one!r}"
                raise ValueError(
                    f"{self._who()}: add_loss() takes a tensor that was computed in call() or build(), got {what}. "
                    "Compute the loss in the call() of a layer of your own, and call add_loss() there."
                )
        self._added_losses += several

    def add_metric(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise NotImplementedError: Keras 3 has no such method, and says what to do instead."""
        raise NotImplementedError(
            f"{self._who()}: layers have no add_metric() any more. Give the metric to compile(metrics=[...]), or make "
            "it an attribute of the layer in __init__() and call its update_state() in call()."
        )

    @property
    def losses(self) -> list[Tensor]:
        """The losses that the last call has added, and then the penalties of the trainable weights."""
        added = (loss for layer in self._flattened() for loss in layer._added_losses)
        penalties = [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]
        # A loss without a value is left over from shape inference, or from a recorded step.
        return [*(loss for loss in added if state.symbolic or loss.is_computed), *penalties]

    def clear_losses(self) -> None:
        """Remove the losses that calls have added."""
        for layer in self._flattened():
            layer._added_losses.clear()
