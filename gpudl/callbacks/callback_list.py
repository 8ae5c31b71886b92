"""A list of callbacks that a loop calls as one."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

from gpudl.callbacks.backup_and_restore import BackupAndRestore, Fitting
from gpudl.callbacks.base import HOOKS, Callback, LazyLogs, Logs
from gpudl.callbacks.history import History
from gpudl.callbacks.progbar_logger import ProgbarLogger
from gpudl.callbacks.progress import end_line
from gpudl.engine.tree import flatten


class CallbackList(Callback):
    """Calls the hooks of several callbacks in order, with the logs as Python numbers, sorted by name.

    Args:
        callbacks: a callback or nested lists of them.
        add_history: whether to append a `History` if there is none.
        add_progbar: whether to append a `ProgbarLogger` if there is none.
        model: passed to each callback.
        **params: passed to each callback: ``verbose``, ``epochs``, ``steps``.

    Raises:
        TypeError: something is not a callback.

    Example:
        >>> callbacks = CallbackList(gpudl.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: print(logs)))
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
        model: object = None,
        **params: object,
    ) -> None:
        self.callbacks: list[Callback] = [] if callbacks is None else list(flatten(callbacks)[0])
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                got, hint = f"{callback!r}", "Subclass Callback."
                if inspect.isclass(callback):
                    got, hint = f"the class {callback.__name__}", f"Write {callback.__name__}()."
                raise TypeError(f"callbacks expected objects of gpudl.callbacks.Callback, got {got}. {hint}")
        for kind, wanted in ((History, add_history), (ProgbarLogger, add_progbar)):
            if wanted and not any(isinstance(callback, kind) for callback in self.callbacks):
                self.callbacks.append(kind())
        # What saves the state of a training is called when the others have done what they do.
        self.callbacks.sort(key=lambda callback: isinstance(callback, BackupAndRestore))
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def set_params(self, params: dict[str, object]) -> None:
        """Pass the parameters of the loop to each callback."""
        self.params = params
        for callback in self.callbacks if params else ():
            callback.set_params(params)

    def set_model(self, model: object) -> None:
        """Pass the model to each callback."""
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_fitting(self, fitting: Fitting) -> None:
        """Pass what is to be saved of a call of `fit` to the callbacks that save it."""
        for callback in self.callbacks:
            if isinstance(callback, BackupAndRestore):
                callback.fitting = fitting

    @property
    def history(self) -> History | None:
        """The `History` in the list, if there is one."""
        return next((c for c in self.callbacks if isinstance(c, History)), None)

    @property
    def wants_train_batches(self) -> bool:
        """Whether a callback has hooks for batches of training; if not, the loop need not call them."""
        return self._wants_batches("train")

    @property
    def wants_test_batches(self) -> bool:
        """Whether a callback has hooks for batches of `evaluate` or validation."""
        return self._wants_batches("test")

    @property
    def wants_predict_batches(self) -> bool:
        """Whether a callback has hooks for batches of `predict`."""
        return self._wants_batches("predict")

    def _wants_batches(self, phase: str) -> bool:
        return any(callback._wants_batches(phase) for callback in self.callbacks)

    def close(self) -> None:
        """End the progress line if an exception or an interrupt left it in the middle."""
        end_line()

    def _call(self, hook: str, *args: object) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*args)


def _fan_out(hook: str) -> Callable[..., None]:
    """Return the hook of a `CallbackList`, which calls that of every callback in order."""

    of_batch = "batch" in hook
    numbers = 1 if of_batch or "epoch" in hook else 0

    @wraps(getattr(Callback, hook))
    def call(self: CallbackList, *args: Any, logs: Logs = None) -> None:
        if not self.callbacks:
            return
        number, given = args[:numbers], args[numbers:]
        lazy = LazyLogs(*given or (logs,))
        self._call(hook, *number, lazy if of_batch else lazy.copy())
        # The next batch may overwrite the tensors, so logs that a callback has kept are read now.
        kept = weakref.ref(lazy)
        del lazy
        held = kept()
        if held is not None:
            held.copy()

    return call


for _hook in HOOKS:
    setattr(CallbackList, _hook, _fan_out(_hook))
