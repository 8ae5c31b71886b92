"""A model, or its weights, saved while it is trained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gpudl.callbacks.base import Logs
from gpudl.callbacks.monitor import BatchCounter, MonitorCallback
from gpudl.callbacks.progress import say
from gpudl.engine.state import warn_user
from gpudl.utils.state_file import State


class ModelCheckpoint(MonitorCallback):
    """Saves a model, or its weights, after each epoch, or every so many batches.

    Args:
        filepath: the file, ending in ``.keras``, or for weights in ``.weights.h5``; ``{epoch:02d}``, ``{batch}`` and
            names of metrics as in ``{val_loss:.2f}`` are filled in. Folders that are missing are made.
        monitor: name of the metric that tells what is best.
        verbose: 1 to print what is done.
        save_best_only: whether only a better model than all before is saved.
        save_weights_only: whether the weights and the state of the optimizer are saved, without the layers.
        mode: as for `EarlyStopping`.
        save_freq: ``"epoch"``, or a number of batches.
        initial_value_threshold: the metric must be better than this too.

    Raises:
        ValueError: another ending, or another `save_freq`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> model = gpudl.Sequential([gpudl.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> checkpoint = ModelCheckpoint(folder / "{epoch:02d}.weights.h5", save_weights_only=True)
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, callbacks=[checkpoint], verbose=0)
        >>> sorted(path.name for path in folder.iterdir())
        ['01.weights.h5', '02.weights.h5']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._counter = BatchCounter("ModelCheckpoint", save_freq)
        self._epoch = 0
        ending = ".weights.h5" if save_weights_only else ".keras"
        if not self.filepath.endswith(ending):
            raise ValueError(
                f"ModelCheckpoint: with save_weights_only={save_weights_only} the filepath must end in `{ending}`, got "
                f"{self.filepath!r}."
            )

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, if it is time."""
        if self._counter.due(batch):
            self._save({"epoch": self._epoch + 1, "batch": batch + 1}, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, if that is to be done after epochs."""
        if self.save_freq == "epoch":
            self._save({"epoch": epoch + 1}, logs or {})

    def get_state(self) -> State:
        """Return the best value, and where it is between two times to save."""
        return {"best": self.best, "place": self._counter.place}

    def set_state(self, state: State) -> None:
        """Go on from such a state."""
        self.best = state["best"]
        self._counter.place = tuple(state["place"])

    def _wants_batches(self, phase: str) -> bool:
        return phase == "train" and self.save_freq != "epoch"

    def _save(self, when: dict[str, int], logs: Mapping[str, object]) -> None:
        path = self._path(when, logs)
        if not self._is_wanted(when["epoch"], logs, path):
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)
        if self.verbose:
            say(f"\nEpoch {when['epoch']}: finished saving model to {path}")

    def _is_wanted(self, epoch: int, logs: Mapping[str, object], path: str) -> bool:
        """Return whether the model is saved now, and say so."""
        if not self.save_best_only:
            if self.verbose:
                say(f"\nEpoch {epoch}: saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if not isinstance(current, int | float | np.number):
            warn_user(
                f"ModelCheckpoint: {self.monitor!r} is no number in the logs, so every model is saved. Available "
                f"metrics: {', '.join(logs)}.",
            )
            return True
        before = "None" if self.best is None else f"{self.best:.5f}"
        better = self._improves(float(current), self.best, logs)
        if self.verbose:
            what = f"improved from {before} to {current:.5f}, saving model to {path}"
            say(f"\nEpoch {epoch}: {self.monitor} {what if better else f'did not improve from {before}'}")
        if better:
            self.best = float(current)
        return better

    def _path(self, when: dict[str, int], logs: Mapping[str, object]) -> str:
        """Return the path with its placeholders filled in."""
        try:
            return self.filepath.format(**{**when, **logs})
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join({**when, **logs})
            raise ValueError(
                f"ModelCheckpoint cannot fill in the filepath {self.filepath!r}: {error}. There are: {known}."
            ) from error
