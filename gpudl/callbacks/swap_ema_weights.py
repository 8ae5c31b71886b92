"""Evaluation with the averages of the weights."""

from __future__ import annotations

from collections.abc import Iterator

from gpudl import ops
from gpudl.callbacks.base import Callback, Logs
from gpudl.callbacks.monitor import optimizers_of
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the moving averages that an optimizer keeps of the weights (``use_ema=True``).

    Args:
        swap_on_epoch: whether the averages are in the model between epochs too, so that what is saved has them.

    Raises:
        ValueError: at the first swap, when no optimizer keeps averages.
    """

    _kept = ("_averages_in_model",)

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._averages_in_model = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Put the weights back that are trained."""
        if self.swap_on_epoch:
            self._put(averages=False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Put the averages in; after the last epoch both are the averages, which then stay."""
        if self.swap_on_epoch:
            self._put(averages=True)
            if epoch == (self.params or {}).get("epochs", 0) - 1:
                for variable, average in self._pairs():
                    ops.assign_(average, variable)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Put the averages in."""
        self._put(averages=True)

    def on_test_end(self, logs: Logs = None) -> None:
        """Put the weights back that are trained."""
        self._put(averages=False)

    on_predict_begin = on_test_begin
    on_predict_end = on_test_end

    def _put(self, averages: bool) -> None:
        """Let the model have the averages, or the weights that are trained; the optimizer keeps the others."""
        if averages == self._averages_in_model:
            return
        for variable, average in self._pairs():
            weights = variable.numpy()
            variable.assign(average)
            ops.assign_(average, weights)
        self._averages_in_model = averages

    def _pairs(self) -> Iterator[tuple[Variable, Tensor]]:
        """Yield the weights with their averages."""
        averaging = [each for _, each in optimizers_of("SwapEMAWeights", self.model) if each.use_ema]
        if not averaging:
            raise ValueError(
                "SwapEMAWeights needs an optimizer that keeps averages of the weights: compile with one made with "
                "use_ema=True."
            )
        trained = {id(variable) for variable in self.model.trainable_variables}
        for optimizer in averaging:
            for variable in (v for v in optimizer._trainable_variables if id(v) in trained):
                if "average" in (slots := optimizer.slots_of(variable)):
                    yield variable, slots["average"]
