"""The callback that draws the progress line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from gpudl.callbacks.base import Callback, Logs
from gpudl.callbacks.progress import ProgressLine, is_live, say
from gpudl.registry import Config


class ProgbarLogger(Callback):
    """Prints the progress line of `fit`, `evaluate` and `predict`; validation inside `fit` is silent."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.verbose = 1
        self.epochs = 1
        self.target: int | None = None
        self._in_fit = False
        self._begin()

    def set_params(self, params: Config) -> None:
        """Set ``verbose``, ``epochs`` and ``steps``."""
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def _wants_batches(self, phase: str) -> bool:
        if not self.verbose or (phase == "test" and self._in_fit):
            return False
        return self.target is None or (self.verbose == 1 and is_live(sys.stdout))

    def _begin(self) -> None:
        self.seen = 0
        self.line = ProgressLine(self.target, self.verbose, clock=self.clock)

    def _update(self, batch: int, logs: Logs) -> None:
        self.seen = min(batch + 1, self.target or batch + 1)  # several steps at a time may go beyond the last
        self.line.update(self.seen, logs)

    def _finish(self, logs: Logs) -> None:
        # Without hooks for batches they were not counted.
        self.line.finish(self.seen or self.target or 0, logs)
        self.target = self.line.target

    def on_train_begin(self, logs: Logs = None) -> None:
        """Treat evaluations as validation from now on."""
        self._in_fit = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Treat evaluations as separate again."""
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Print the epoch's number if there are several."""
        self._begin()
        if self.verbose and self.epochs > 1:
            say(f"Epoch {epoch + 1}/{self.epochs}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """End the line, with the metrics of validation."""
        self._finish(logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move the bar."""
        self._update(batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Begin a line."""
        if not self._in_fit:
            self._begin()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move the bar."""
        if not self._in_fit:
            self._update(batch, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """End the line."""
        if not self._in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Begin a line."""
        self._begin()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move the bar; predictions are not shown."""
        self._update(batch, None)

    def on_predict_end(self, logs: Logs = None) -> None:
        """End the line."""
        self._finish(None)
