"""Callbacks: what `fit`, `evaluate` and `predict` call before and after all they do."""

from __future__ import annotations

import inspect
import math
import warnings
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

from gpudl.engine.tree import flatten
from gpudl.registry import unknown
from gpudl.utils.checks import require_number
from gpudl.utils.hooks import HOOKS, Callback, LazyLogs, Logs
from gpudl.utils.progress import ProgbarLogger, end_line, say

__all__ = [
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LazyLogs",
    "ProgbarLogger",
    "TerminateOnNaN",
]


class History(Callback):
    """Keeps the metrics of every epoch; `fit` returns one.

    Attributes:
        history: a list of values by metric name, one value an epoch.
        epoch: the numbers of the epochs, from 0.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Become the model's history, and forget the epochs of an earlier `fit`."""
        self.epoch = []
        if self.model is not None:
            self.model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Append the metrics of the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


# What the name of a metric tells about it, if it contains one of these.
_DIRECTIONS = {True: ("acc",), False: ("loss", "error", "mse", "mae", "entropy", "divergence")}


class EarlyStopping(Callback):
    """Stops training when a metric has stopped improving.

    Args:
        monitor: name of the metric.
        min_delta: a smaller change than this is no improvement.
        patience: number of epochs without improvement before training stops.
        verbose: 1 to print what is done.
        mode: ``"min"`` if less is better, ``"max"`` if more is, ``"auto"`` to tell by the metric:
            by its attribute ``_direction``, ``"up"`` or ``"down"``, or else by its name.
        baseline: a value to beat: epochs that do not are epochs without improvement.
        restore_best_weights: whether the model gets the weights of the best epoch at the end.
        start_from_epoch: the epochs before this one do not count.

    Raises:
        ValueError: at the end of an epoch, in mode ``"auto"``, when the metric does not tell what is better.

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
        if mode not in ("auto", "min", "max"):
            warnings.warn(f"EarlyStopping knows no mode {mode!r} and goes on with 'auto'.", stacklevel=2)
            mode = "auto"
        require_number("EarlyStopping", min_delta=min_delta)
        require_number("EarlyStopping", 0, patience=patience, start_from_epoch=start_from_epoch)
        if baseline is not None:
            require_number("EarlyStopping", baseline=baseline)
        self.monitor = monitor
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
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
        """Start anew: one object serves several calls of `fit`."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare the metric with the best so far, and stop training if patience is over."""
        logs = logs or {}
        more_is_better = self._more_is_better(logs)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"EarlyStopping watches {self.monitor!r}, which is not there. Available metrics: {', '.join(logs)}.",
                stacklevel=2,
            )
            return
        if epoch < self.start_from_epoch:
            return

        def beats(reference: float | None) -> bool:
            if reference is None:
                return True
            gain = current - reference if more_is_better else reference - current
            return bool(gain > self.min_delta)

        better = beats(self.best)
        self.wait += 1
        if better:
            self.best = current
            if self.baseline is None or beats(self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True
        if better:
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs = None) -> None:
        """Report, and restore the weights of the best epoch if that is wanted."""
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def _more_is_better(self, logs: Logs) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        for metric in getattr(self.model, "metrics", []):
            if metric.name == name and getattr(metric, "_direction", None):
                return bool(metric._direction == "up")
        for more_is_better, words in _DIRECTIONS.items():
            if any(word in name for word in words):
                return more_is_better
        raise ValueError(
            f"EarlyStopping cannot tell whether more or less of {self.monitor!r} is better. "
            f"Pass mode='max' or mode='min', or watch one of: {', '.join(logs)}."
        )


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        **hooks: functions by the names of the hooks of `Callback`; they take ``(epoch, logs)``,
            ``(batch, logs)`` or ``(logs)``. Anything by another name becomes an attribute.

    Raises:
        ValueError: a name that looks like a hook's and is none.
        TypeError: a hook that cannot be called.

    Example:
        >>> shout = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
        >>> shout.on_epoch_end(0, {"loss": 0.5})
        0 {'loss': 0.5}
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_train_begin: Callable[[Logs], Any] | None = None,
        on_train_end: Callable[[Logs], Any] | None = None,
        on_train_batch_begin: Callable[[int, Logs], Any] | None = None,
        on_train_batch_end: Callable[[int, Logs], Any] | None = None,
        **hooks: Callable[..., Any] | None,
    ) -> None:
        hooks |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in hooks.items():
            if name.startswith("on_") and name not in HOOKS:
                raise unknown("hook", name, dict.fromkeys(HOOKS))
            if name in HOOKS and function is not None and not callable(function):
                raise TypeError(f"LambdaCallback: {name} must be a function, got {function!r}.")
            if function is not None:
                setattr(self, name, function)


class TerminateOnNaN(Callback):
    """Stops training when the loss is NaN or infinite. It reads the loss, so it waits for every batch.

    Args:
        raise_error: raise RuntimeError instead of ending `fit` in good order.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Check the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"the loss was {loss} after batch {batch}. Lower the learning rate, or look for NaN in the data."
            )
        say(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True


class CallbackList(Callback):
    """Calls the hooks of several callbacks in order, with the logs as Python numbers, sorted by name.

    Args:
        callbacks: a callback or nested lists of them.
        add_history: whether to append a `History` if there is none.
        add_progbar: whether to append a `ProgbarLogger` if there is none.
        model: given to each callback.
        **params: given to each callback: ``verbose``, ``epochs``, ``steps``.

    Raises:
        TypeError: something that is no callback.

    Example:
        >>> import gpudl
        >>> callbacks = CallbackList(LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs)))
        >>> callbacks.on_epoch_end(0, {"loss": gpudl.convert_to_tensor(0.5)})
        {'loss': 0.5}
        >>> callbacks.wants_train_batches
        False
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        self.callbacks: list[Callback] = [] if callbacks is None else list(flatten(callbacks)[0])
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                hint = f"Write {callback.__name__}()." if inspect.isclass(callback) else "Subclass Callback."
                raise TypeError(f"callbacks expected objects of gpudl.callbacks.Callback, got {callback!r}. {hint}")
        for kind, wanted in ((History, add_history), (ProgbarLogger, add_progbar)):
            if wanted and not any(isinstance(callback, kind) for callback in self.callbacks):
                self.callbacks.append(kind())
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def set_params(self, params: dict[str, Any]) -> None:
        """Give the parameters of the loop to each callback."""
        self.params = params
        for callback in self.callbacks if params else ():
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give the model to each callback."""
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    @property
    def history(self) -> History | None:
        """The `History` in the list, if there is one."""
        return next((c for c in self.callbacks if isinstance(c, History)), None)

    @property
    def wants_train_batches(self) -> bool:
        """Whether anybody listens to the batches of training; if not, a loop need not report them."""
        return self._wants_batches("train")

    @property
    def wants_test_batches(self) -> bool:
        """Whether anybody listens to the batches of `evaluate` or validation."""
        return self._wants_batches("test")

    @property
    def wants_predict_batches(self) -> bool:
        """Whether anybody listens to the batches of `predict`."""
        return self._wants_batches("predict")

    def _wants_batches(self, phase: str) -> bool:
        return any(callback._wants_batches(phase) for callback in self.callbacks)

    def close(self) -> None:
        """End the progress line if an exception or an interrupt left it in the middle."""
        end_line()

    def _call(self, hook: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*args)


def _fan_out(hook: str) -> Callable[..., None]:
    """Return the hook of a `CallbackList`: every callback's hook, one after the other."""

    of_batch = "batch" in hook
    numbers = 1 if of_batch or "epoch" in hook else 0

    @wraps(getattr(Callback, hook))
    def call(self: CallbackList, *args: Any, logs: Any = None) -> None:
        if not self.callbacks:
            return
        number, given = args[:numbers], args[numbers:]
        lazy = LazyLogs(*given or (logs,))
        self._call(hook, *number, lazy if of_batch else lazy.copy())
        # The next batch may overwrite the tensors: logs that a callback has kept are read now.
        kept = weakref.ref(lazy)
        del lazy
        held = kept()
        if held is not None:
            held.copy()

    return call


for _hook in HOOKS:
    setattr(CallbackList, _hook, _fan_out(_hook))
