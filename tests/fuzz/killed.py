"""Trainings that are killed: ``python killed.py`` reads lines ``FOLDER SECONDS SAVE_FREQ`` and trains for each one.

A training is a process, which is killed after so many seconds, if that is not below 0. When it ends by itself it writes
a hash of all that came out to the file ``done`` in the folder. For each line one is printed: how long it took.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from resumed import X, Y, digest, listeners, network


def train(folder: Path, save_freq: str | int) -> str:
    """Train with `BackupAndRestore` in a folder, and return a hash of all that came out."""
    model = network()
    watching = listeners(folder, save_freq=save_freq)
    history = model.fit(X, Y, batch_size=5, epochs=4, validation_data=(X, Y), callbacks=watching, verbose=0)
    return digest(model, history, folder / "log.csv")


def _in_child(folder: Path, seconds: float, save_freq: str | int) -> None:
    child = os.fork()
    if child == 0:
        try:
            (folder / "ends").write_text(train(folder, save_freq))
            (folder / "ends").rename(folder / "done")
        finally:
            os._exit(0)
    if seconds >= 0:
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main() -> None:
    """Train once, so that all is compiled, and then as the lines on the standard input say."""
    train(Path(sys.argv[1]), "epoch")
    print("ready", flush=True)
    for line in sys.stdin:
        folder, seconds, save_freq = line.split()
        begun = time.perf_counter()
        _in_child(Path(folder), float(seconds), int(save_freq) if save_freq.isdecimal() else save_freq)
        print(time.perf_counter() - begun, flush=True)


if __name__ == "__main__":
    main()
