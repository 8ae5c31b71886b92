"""SIGKILL at a random moment: no file is unreadable, and the training goes on and ends with the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from fuzz.programs import Program, run
from gpudl.utils.state_file import read_state

FOLDER = Path(__file__).parent


class Trainings:
    """A process that trains, and kills what trains."""

    def __init__(self, process: subprocess.Popen[str], place: Path) -> None:
        self._process, self._place = process, place
        self._count = 0

    def folder(self) -> Path:
        """Return a new folder."""
        self._count += 1
        folder = self._place / str(self._count)
        folder.mkdir()
        return folder

    def train(self, folder: Path, save_freq: str | int, seconds: float = -1) -> float:
        """Train in a folder, for so many seconds at most if that is not below 0; return how long it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder} {seconds} {save_freq}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


@contextmanager
def trainings(place: Path) -> Iterator[Trainings]:
    """Give what trains in subfolders of `place`."""
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parent), "GPUDL_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / "killed.py"), str(place)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Trainings(process, place)


def require_readable(folder: Path) -> None:
    """Raise an error if a file that a killed process has left is damaged."""
    for file in folder.glob("backup/[!.]*"):
        read_state(file)
    for file in folder.glob("*.h5"):
        with h5py.File(file) as weights:
            weights.visititems(lambda name, item: item[()] if isinstance(item, h5py.Dataset) else None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_killed_trainings_go_on(tmp_path: Path) -> None:
    with trainings(tmp_path) as all_of_them:
        whole = all_of_them.folder()
        length = all_of_them.train(whole, 1)
        expected = (whole / "done").read_text()

        def check(p: Program) -> None:
            folder, save_freq = all_of_them.folder(), p.one_of((1, 2, "epoch"))
            for _ in range(p.integer(1, 3)):
                seconds = float(p.rng.uniform(0, length))
                p.say(f"killed after {seconds} of {length} seconds, saved every {save_freq}")
                all_of_them.train(folder, save_freq, seconds)
                require_readable(folder)
                if (folder / "done").exists():
                    break
            else:
                all_of_them.train(folder, save_freq)
            assert (folder / "done").read_text() == expected
            assert not (folder / "backup").exists()

        run(check, count=4)
