"""The history of a training: its metrics epoch by epoch."""

from __future__ import annotations

from gpudl.callbacks.base import Callback, Logs


class History(Callback):
    """Records the metrics of every epoch; `fit` returns one.

    Attributes:
        history: a list of values by metric name, one value per epoch.
        epoch: the numbers of the epochs, from 0.
    """

    _kept = ("history", "epoch")

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Become the model's history, and clear the epochs of an earlier `fit`."""
        self.epoch = []
        if self.model is not None:
            self.model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Append the metrics of the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
