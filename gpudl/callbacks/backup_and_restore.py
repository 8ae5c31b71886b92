"""Training that goes on where it was interrupted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gpudl.callbacks.base import Callback, Logs
from gpudl.callbacks.monitor import BatchCounter
from gpudl.engine.state import warn_user
from gpudl.utils.state_file import DamagedFileError, State, read_state, write_state


class Fitting(Protocol):
    """A call of `fit`: what is saved of it."""

    def get_state(self, epoch: int, results: Mapping[str, object] | None) -> State:
        """Return all that the training depends on; `results` are those of a part of `epoch`, None before it."""

    def set_state(self, state: State) -> None:
        """Go on from such a state."""


class BackupAndRestore(Callback):
    """Saves where a training is, and goes on from there when the same program is started once more.

    The state is saved after each epoch or every so many batches: the weights and other variables of the model, its
    metrics and its optimizer, Python's and NumPy's random generators, the order of the data and the place in it, the
    states of the other callbacks (`Callback.get_state`), the history. `fit` goes on from it, if need be in the midst of
    an epoch, and so the training ends with the very same weights as one that was not interrupted. When it has come to
    its end the folder is deleted.

    A state is one file with a checksum, which is written beside its place, flushed to the disk and renamed. The one
    before it is kept too: where the latest is damaged, a warning says so, and the training goes on from that.

    Data that are arrays, a `PyDataset` or a `Dataset` go on in their order. A generator, or another iterable, brings
    the batches again that it has brought already. A data set with ``get_state()``, which returns a dict of numbers,
    text and arrays, and ``set_state(state)`` has its state saved; of another one ``on_epoch_begin`` and
    ``on_epoch_end`` are called for each epoch that is past. Random generators that a program makes itself begin again,
    and so do attributes of callbacks that do not have `get_state`.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: ``"epoch"``, or a number of batches.
        double_checkpoint: whether the state before the last one is kept too.
        delete_checkpoint: whether the folder is deleted at the end.

    Raises:
        ValueError: no folder, or another `save_freq`; at the beginning of `fit`, states that are all damaged, or a
            state of another model or of other data.
        OSError: a state cannot be written; the one before it is as it was.

    Example:
        >>> import tempfile
        >>> model = gpudl.Sequential([gpudl.layers.Dense(1, input_shape=(2,))])
        >>> model.compile("sgd", "mse")
        >>> backup = BackupAndRestore(tempfile.mkdtemp(), delete_checkpoint=False)
        >>> model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, callbacks=[backup], verbose=0).epoch
        [0, 1]
        >>> model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, callbacks=[backup], verbose=0).epoch
        [0, 1, 2]
    """

    fitting: Fitting | None = None

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = True,
        delete_checkpoint: bool = True,
    ) -> None:
        if not isinstance(backup_dir, str | os.PathLike) or not os.fspath(backup_dir):
            raise ValueError(f"BackupAndRestore: backup_dir must name a folder, got {backup_dir!r}.")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._counter = BatchCounter("BackupAndRestore", save_freq)
        self._epoch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Go on from the state that was saved, if there is one."""
        self._counter = BatchCounter("BackupAndRestore", self.save_freq)
        for unfinished in Path(self.backup_dir).glob(".*.part"):  # of a process that was killed
            unfinished.unlink(missing_ok=True)
        state = self._read()
        if state is not None:
            self._fit().set_state(state)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, if it is time."""
        if self._counter.due(batch):
            self._save(self._epoch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, if that is to be done after epochs."""
        if self.save_freq == "epoch":
            self._save(epoch + 1, None)

    def on_train_end(self, logs: Logs = None) -> None:
        """Delete the folder."""
        if self.delete_checkpoint:
            shutil.rmtree(self.backup_dir, ignore_errors=True)

    def get_state(self) -> State:
        """Return where it is between two times to save."""
        return {"place": self._counter.place}

    def set_state(self, state: State) -> None:
        """Go on from such a state."""
        self._counter.place = tuple(state["place"])

    def _wants_batches(self, phase: str) -> bool:
        return phase == "train" and self.save_freq != "epoch"

    def _fit(self) -> Fitting:
        if self.fitting is None:
            raise ValueError("BackupAndRestore saves trainings by fit. In a loop of your own, save_weights does.")
        return self.fitting

    def _save(self, epoch: int, results: Mapping[str, object] | None) -> None:
        latest, previous = self._files()
        latest.parent.mkdir(parents=True, exist_ok=True)
        write_state(latest, self._fit().get_state(epoch, results), previous if self.double_checkpoint else None)

    def _read(self) -> State | None:
        """Return the latest state that is not damaged, and say which one is; None where there is none."""
        damaged: dict[Path, DamagedFileError] = {}
        for path in self._files():
            try:
                state = read_state(path)
            except FileNotFoundError:
                continue
            except DamagedFileError as error:
                damaged[path] = error
                continue
            for file, problem in damaged.items():  # which must not become the previous one
                warn_user(f"BackupAndRestore goes on from the state before the last one: {problem}")
                file.unlink()
            return state
        if damaged:
            raise ValueError(
                f"BackupAndRestore cannot go on: {' '.join(map(str, damaged.values()))} Delete the folder "
                f"{self.backup_dir} to begin again."
            )
        return None

    def _files(self) -> tuple[Path, Path]:
        """Return the latest state, and the one before it."""
        return Path(self.backup_dir, "latest.state"), Path(self.backup_dir, "previous.state")
