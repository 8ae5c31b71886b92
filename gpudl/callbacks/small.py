"""Small callbacks: one from functions, and one that stops at a loss that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable

from gpudl.argument_errors import unknown
from gpudl.callbacks.base import HOOKS, Callback, Logs
from gpudl.callbacks.progress import say


class LambdaCallback(Callback):
    """A callback from functions.

    Args:
        **hooks: functions by the names of the hooks of `Callback`; with arguments ``(epoch, logs)``,
            ``(batch, logs)`` or ``(logs)``. Anything by another name becomes an attribute.

    Raises:
        ValueError: a name looks like that of a hook but is not.
        TypeError: a hook is not callable.

    Example:
        >>> shout = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
        >>> shout.on_epoch_end(0, {"loss": 0.5})
        0 {'loss': 0.5}
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], object] | None = None,
        on_epoch_end: Callable[[int, Logs], object] | None = None,
        on_train_begin: Callable[[Logs], object] | None = None,
        on_train_end: Callable[[Logs], object] | None = None,
        on_train_batch_begin: Callable[[int, Logs], object] | None = None,
        on_train_batch_end: Callable[[int, Logs], object] | None = None,
        **hooks: Callable[..., object] | None,
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
        raise_error: raise RuntimeError instead of stopping `fit`.
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
