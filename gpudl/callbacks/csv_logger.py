"""The logs of each epoch as rows of a CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from gpudl.callbacks.base import Callback, Logs
from gpudl.engine.state import warn_user
from gpudl.utils.state_file import State


class CSVLogger(Callback):
    """Writes the metrics of each epoch to a CSV file, a row an epoch, as they come.

    Args:
        filename: the file.
        separator: what stands between values.
        append: whether rows are added to a file that is there, which has its names then, or a new file is begun.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "log.csv"
        >>> logger = CSVLogger(place)
        >>> logger.on_train_begin()
        >>> logger.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.25})
        >>> logger.on_train_end()
        >>> place.read_text().split()
        ['epoch,loss,val_loss', '0,0.5,0.25']
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self._file: TextIO | None = None
        self._writer: csv.DictWriter[str] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Open the file."""
        self.on_train_end()
        path = Path(self.filename)
        self._has_names = self.append and path.exists() and path.stat().st_size > 0
        self._file = path.open("a", encoding="utf-8", newline="")
        self._is_new = not self.append

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remove what an earlier training has written, unless rows are added to it or that training goes on."""
        if self._file is not None and self._is_new:
            self._file.truncate(0)
        self._is_new = False

    def get_state(self) -> State:
        """Return the names, and how many bytes the file has, all of which are on the disk."""
        if self._file is None or self._writer is None:
            return {"names": None, "size": 0}
        os.fsync(self._file.fileno())
        return {"names": list(self._writer.fieldnames), "size": os.fstat(self._file.fileno()).st_size}

    def set_state(self, state: State) -> None:
        """Remove the rows that were written after such a state, and add others."""
        if self._file is None or state["names"] is None:
            return
        size = os.fstat(self._file.fileno()).st_size
        if size < state["size"]:
            warn_user(f"CSVLogger: {self.filename} has lost rows of the training that goes on.")
        self._file.truncate(min(size, state["size"]))
        self._is_new, self._has_names = False, size > 0
        self._writer = self._begun(self._file, state["names"])

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write a row, and before the first one the names; metrics of validation may come later."""
        if self._file is None:
            return
        values = dict(logs or {})
        if self._writer is None:
            names = sorted(values)
            if not any(name.startswith("val_") for name in names):
                names += [f"val_{name}" for name in names]
            self._writer = self._begun(self._file, ["epoch", *names])
        self._writer.writerow({"epoch": epoch} | {name: _text(value) for name, value in values.items()})
        self._file.flush()

    def _begun(self, file: TextIO, names: list[str]) -> csv.DictWriter[str]:
        """Return what writes rows, after the names, if they are not there."""
        writer = csv.DictWriter(file, names, restval="NA", extrasaction="ignore", delimiter=self.sep)
        if not self._has_names:
            writer.writeheader()
        return writer

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None


def _text(value: object) -> object:
    """Return what stands in the file: an array with axes as a list in brackets."""
    if isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "shape", None) != ():
        return f'"[{", ".join(map(str, value))}]"'
    return value
