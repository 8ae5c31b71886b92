"""Training that goes on where it was interrupted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from gpudl.callbacks.base import Callback, Logs
from gpudl.callbacks.monitor import BatchCounter
from gpudl.utils.files import replacing

_LATEST, _PREVIOUS = "latest", "previous"
_WEIGHTS, _PLACE = "weights.h5", "json"


class BackupAndRestore(Callback):
    """Saves where a training is, and goes on from there when the same program is started once more.

    The weights and the state of the optimizer are saved with the number of the epoch, after each epoch or every so many
    batches. `fit` begins at the epoch that was not complete. When it has come to its end the folder is deleted.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: ``"epoch"``, or a number of batches.
        double_checkpoint: whether the state before the last one is kept too, and used where the last one is damaged.
        delete_checkpoint: whether the folder is deleted at the end.

    Raises:
        ValueError: no folder, or another `save_freq`; at the beginning of `fit`, a model that is not built.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not os.fspath(backup_dir):
            raise ValueError("BackupAndRestore: backup_dir must name a folder, got an empty text.")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._counter = BatchCounter("BackupAndRestore", save_freq)
        self._epoch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Go on from the state that was saved, if there is one."""
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a model that is built before fit: call it on a batch, or build() it, first."
            )
        try:
            self._restore(_LATEST)
        except (OSError, ValueError, KeyError):  # damaged
            if not self._file(_PREVIOUS, _WEIGHTS).exists():
                raise
            self._restore(_PREVIOUS)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, if it is time."""
        if self._counter.due(batch):
            self._save(self._epoch, batch)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, if that is to be done after epochs."""
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: Logs = None) -> None:
        """Delete the folder."""
        if self.delete_checkpoint:
            shutil.rmtree(self.backup_dir, ignore_errors=True)

    def _wants_batches(self, phase: str) -> bool:
        return phase == "train" and self.save_freq != "epoch"

    def _file(self, state: str, kind: str) -> Path:
        return Path(self.backup_dir, f"{state}.{kind}")

    def _save(self, epoch: int, batch: int) -> None:
        Path(self.backup_dir).mkdir(parents=True, exist_ok=True)
        if self.double_checkpoint:
            for kind in (_WEIGHTS, _PLACE):
                if self._file(_LATEST, kind).exists():
                    shutil.copyfile(self._file(_LATEST, kind), self._file(_PREVIOUS, kind))
        self.model.save_weights(self._file(_LATEST, _WEIGHTS))
        with replacing(self._file(_LATEST, _PLACE)) as unfinished:
            unfinished.write_text(json.dumps({"epoch": epoch, "batch": batch}), "utf-8")

    def _restore(self, state: str) -> None:
        weights, place = self._file(state, _WEIGHTS), self._file(state, _PLACE)
        if not (weights.exists() and place.exists()):
            return
        epoch = json.loads(place.read_text("utf-8"))["epoch"]
        self.model.load_weights(weights)
        self.model._initial_epoch = epoch
