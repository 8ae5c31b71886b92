"""Learning rates that change between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np

from gpudl.callbacks.base import Callback, Logs
from gpudl.callbacks.monitor import MonitorCallback, note_rates, optimizers_of
from gpudl.callbacks.progress import say
from gpudl.engine.state import warn_user
from gpudl.utils.checks import require_number


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch, and notes it in the logs.

    Args:
        schedule: a function of the number of the epoch, from 0, and the present learning rate, or of the first
            alone. It returns the learning rate.
        verbose: 1 to print what is done.

    Raises:
        ValueError: at the beginning of an epoch, when `schedule` returns no float.

    Example:
        >>> model = gpudl.Sequential([gpudl.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> halved = LearningRateScheduler(lambda epoch, rate: rate / 2)
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, callbacks=[halved], verbose=0)
        >>> round(float(model.optimizer.learning_rate), 5)
        0.0025
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Call the schedule, and set the learning rate."""
        for name, optimizer in optimizers_of("LearningRateScheduler", self.model):
            rate = self.schedule(*(epoch, float(optimizer.learning_rate))[: self._arguments()])
            if not isinstance(rate, float | np.floating):
                raise ValueError(
                    f"LearningRateScheduler: the schedule must return a float, got {rate!r}, a {type(rate).__name__}."
                )
            optimizer.learning_rate = float(rate)
            if self.verbose:
                whose = f"{name} learning rate" if name else "learning rate"
                say(f"\nEpoch {epoch + 1}: LearningRateScheduler setting {whose} to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Note the learning rate in the logs."""
        note_rates("LearningRateScheduler", self.model, logs)

    def _arguments(self) -> int:
        """Return how many arguments the schedule takes."""
        try:
            inspect.signature(self.schedule).bind(0, 0.0)
        except TypeError:
            return 1
        return 2


class ReduceLROnPlateau(MonitorCallback):
    """Lowers the learning rate when a metric has stopped improving.

    Args:
        monitor: name of the metric.
        factor: the learning rate is multiplied by this, which lies below 1.
        patience: number of epochs without improvement before that happens.
        verbose: 1 to print what is done.
        mode: as for `EarlyStopping`.
        min_delta: a smaller change than this is no improvement.
        cooldown: number of epochs after a reduction that do not count.
        min_lr: the learning rate gets no lower.

    Raises:
        ValueError: a factor that is not below 1.
    """

    _kept = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        require_number("ReduceLROnPlateau", min_delta=min_delta)
        require_number("ReduceLROnPlateau", 0, factor=factor, patience=patience, cooldown=cooldown, min_lr=min_lr)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}.")
        super().__init__(monitor, mode, min_delta=min_delta)
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.wait = 0
        self.cooldown_counter = 0

    def in_cooldown(self) -> bool:
        """Return whether epochs do not count at present."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Reset the state of an earlier training."""
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare the metric with the best so far; note the learning rate in the logs."""
        logs = {} if logs is None else logs
        note_rates("ReduceLROnPlateau", self.model, logs)
        self._more_is_better(logs)
        current = logs.get(self.monitor)
        if current is None:
            warn_user(
                f"ReduceLROnPlateau watches {self.monitor!r}, which is not there. Available metrics: "
                f"{', '.join(logs)}.",
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(current, self.best, logs):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        for name, optimizer in optimizers_of("ReduceLROnPlateau", self.model):
            before = float(optimizer.learning_rate)
            if before <= np.float32(self.min_lr):
                continue
            optimizer.learning_rate = rate = max(before * self.factor, self.min_lr)
            self.cooldown_counter = self.cooldown
            self.wait = 0
            if self.verbose:
                whose = f"{name} learning rate" if name else "learning rate"
                say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing {whose} to {rate}.")
