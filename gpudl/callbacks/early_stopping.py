"""Stopping when a metric has stopped improving."""

from __future__ import annotations

from typing import Any

from gpudl.callbacks.base import Logs
from gpudl.callbacks.monitor import MonitorCallback
from gpudl.callbacks.progress import say
from gpudl.engine.state import warn_user
from gpudl.utils.checks import require_number


class EarlyStopping(MonitorCallback):
    """Stops training when a metric has stopped improving.

    Args:
        monitor: name of the metric.
        min_delta: a smaller change than this is no improvement.
        patience: number of epochs without improvement before training stops.
        verbose: 1 to print messages.
        mode: ``"min"`` if less is better, ``"max"`` if more is, ``"auto"`` to infer it from the metric:
            by its attribute ``_direction``, ``"up"`` or ``"down"``, or else by its name.
        baseline: a value to beat: epochs that do not count as epochs without improvement.
        restore_best_weights: whether the model gets the weights of the best epoch at the end.
        start_from_epoch: the epochs before this one do not count.

    Raises:
        ValueError: at the end of an epoch, in mode ``"auto"``, if the direction of the metric is unknown.

    Example:
        >>> from types import SimpleNamespace
        >>> stopping = EarlyStopping(monitor="loss", patience=1)
        >>> stopping.set_model(SimpleNamespace(stop_training=False))
        >>> stopping.on_train_begin()
        >>> for epoch, loss in enumerate([0.5, 0.6]):
        ...     stopping.on_epoch_end(epoch, {"loss": loss})
        >>> stopping.model.stop_training, stopping.best
        (True, 0.5)
    """

    _kept = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        require_number("EarlyStopping", min_delta=min_delta)
        require_number("EarlyStopping", 0, patience=patience, start_from_epoch=start_from_epoch)
        if baseline is not None:
            require_number("EarlyStopping", baseline=baseline)
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Reset: one object can be used for several calls of `fit`."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare the metric with the best so far, and stop training if there is no patience left."""
        logs = logs or {}
        self._more_is_better(logs)  # an error is due in the first epoch already
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return

        better = self._improves(current, self.best, logs)
        self.wait += 1
        if better:
            self.best = current
            if self._improves(current, self.baseline, logs):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True
        if better:
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()

    def get_monitor_value(self, logs: Logs) -> Any:
        """Return the metric among the results of an epoch; None, with a warning, where it is not there."""
        current = (logs or {}).get(self.monitor)
        if current is None:
            warn_user(
                f"EarlyStopping watches {self.monitor!r}, which is not there. Available metrics: "
                f"{', '.join(logs or ())}.",
            )
        return current

    def on_train_end(self, logs: Logs = None) -> None:
        """Print a message, and restore the weights of the best epoch if requested."""
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
