"""What callbacks share that act on a metric, on an optimizer's learning rate, or every so many batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpudl import ops
from gpudl.callbacks.base import Callback, Logs
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.optimizers import Optimizer

# What the name of a metric tells about it, if it contains one of these.
_DIRECTIONS = {True: ("acc",), False: ("loss", "error", "mse", "mae", "entropy", "divergence")}


class MonitorCallback(Callback):
    """The base of callbacks that compare a metric with the best value so far.

    Args:
        monitor: name of the metric.
        mode: ``"min"`` if less is better, ``"max"`` if more is, ``"auto"`` to tell by the metric:
            by its attribute ``_direction``, ``"up"`` or ``"down"``, or else by its name.
        baseline: a first value for the best.
        min_delta: a smaller change than this is no improvement.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        if mode not in ("auto", "min", "max"):
            warn_user(f"{type(self).__name__} knows no mode {mode!r} and goes on with 'auto'.")
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)

    @property
    def monitor_op(self) -> Callable[[TensorLike, TensorLike], Tensor]:
        """How a better value compares with another: `ops.greater` or `ops.less`."""
        return ops.greater if self._more_is_better({}) else ops.less

    def _improves(self, current: float, reference: float | None, logs: Mapping[str, object]) -> bool:
        """Return whether `current` is better than `reference` by more than `min_delta`; None is worse than all."""
        if reference is None:
            return True
        if self._more_is_better(logs):
            return bool(current - self.min_delta > reference)
        return bool(current + self.min_delta < reference)

    def _more_is_better(self, logs: Mapping[str, object]) -> bool:
        """Return whether higher values of the metric are better.

        Raises:
            ValueError: in mode ``"auto"``, when the metric does not tell.
        """
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        whole = getattr(self.model, "metrics", [])
        for metric in (part for one in whole for part in getattr(one, "metrics", [one])):
            if metric.name == name and getattr(metric, "_direction", None):
                return bool(metric._direction == "up")
        for more_is_better, words in _DIRECTIONS.items():
            if any(word in name for word in words):
                return more_is_better
        raise ValueError(
            f"{type(self).__name__} cannot tell whether more or less of {self.monitor!r} is better. "
            f"Pass mode='max' or mode='min', or watch one of: {', '.join(logs)}."
        )


class BatchCounter:
    """Counts batches of training, of which a hook may be told several at a time.

    Args:
        who: the callback, for the error.
        save_freq: ``"epoch"``, or after how many batches something is due.

    Attributes:
        place: how many batches have been counted since something was due, and the number of the last one.

    Raises:
        ValueError: neither of these.
    """

    def __init__(self, who: str, save_freq: str | int) -> None:
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f"{who}: save_freq must be 'epoch' or a number of batches, a whole number above 0, got {save_freq!r}."
            )
        self._every = None if save_freq == "epoch" else int(save_freq)
        self.place = 0, -1

    def due(self, batch: int) -> bool:
        """Count the batches up to number `batch` of this epoch, and return whether it is time."""
        if self._every is None:
            return False
        counted, last = self.place
        counted += batch + 1 if batch <= last else batch - last
        due = counted >= self._every
        self.place = 0 if due else counted, batch
        return due


def optimizers_of(who: str, model: object) -> list[tuple[str, Optimizer]]:
    """Return the optimizers of a model, each with what tells it apart: nothing for one, its name for several.

    Raises:
        ValueError: the model is not compiled with one.
    """
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"{who} needs a model that is compiled with an optimizer.")
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    return [(inner.name, inner) for inner in getattr(optimizer, "optimizers", ())] or [("", optimizer)]


def note_rates(who: str, model: object, logs: Logs) -> None:
    """Put the learning rates of a model into its logs, as ``learning_rate`` or with the name of each optimizer."""
    for name, optimizer in optimizers_of(who, model) if logs is not None else ():
        logs[f"learning_rate_{name}" if name else "learning_rate"] = float(optimizer.learning_rate)
