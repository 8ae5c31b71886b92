"""Saves that fail, wherever they do: a full disk, an error at some write, a folder that may not be written to."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import callbacks, layers, saving
from gpudl.utils.files import replacing
from gpudl.utils.state_file import read_state, write_state

Save = Callable[[gpudl.Model, Path], Any]


def model(value: float) -> gpudl.Model:
    """Return a model whose weights all have a value."""
    made = gpudl.Sequential([layers.Input((40,)), layers.Dense(50), layers.Dense(30)])
    made.compile("adam", "mse")
    made.set_weights([np.full_like(array, value) for array in made.get_weights()])
    return made


def checkpoint(made: gpudl.Model, path: Path) -> None:
    callback = callbacks.ModelCheckpoint(path, save_weights_only=path.name.endswith(".h5"))
    callback.set_model(made)
    callback.on_epoch_end(0, {})


def state(made: gpudl.Model, path: Path) -> None:
    write_state(path, {"weights": made.get_weights()})


def sharded(made: gpudl.Model, path: Path) -> None:
    made.save_weights(path, max_shard_size=9e-6)


SAVES: dict[str, Save] = {
    "m.keras": lambda made, path: made.save(path),
    "m.h5": lambda made, path: made.save(path),
    "m.weights.h5": lambda made, path: made.save_weights(path),
    "m.npz": lambda made, path: made.save_weights(path),
    "several.weights.h5": sharded,
    "checkpoint.keras": checkpoint,
    "checkpoint.weights.h5": checkpoint,
    "m.state": state,
}
every_save = pytest.mark.parametrize("name", SAVES)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def disk_with(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@every_save
def test_a_disk_that_fills_up(name: str, tmp_path: Path) -> None:
    save, path = SAVES[name], tmp_path / name
    save(model(1.0), path)
    before = contents(tmp_path)
    smallest = min(map(len, before.values())) if len(before) == 1 else 4000  # the index of several files is small
    for part in (0.0, 0.3, 0.7, 0.99):
        with (
            disk_with(int(part * smallest)),
            pytest.raises(OSError, match=r"was not saved: the disk is full .*\. (The file that was|No file is) there"),
        ):
            save(model(2.0), path)
        assert contents(tmp_path) == before
    save(model(2.0), path)  # there is space again
    assert contents(tmp_path).keys() == before.keys()
    assert contents(tmp_path) != before


@every_save
def test_an_error_at_any_call_of_the_system(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What flushes and renames fails, one call after another, with an error or with Ctrl-C."""
    save, path = SAVES[name], tmp_path / name
    save(model(1.0), path)
    before = contents(tmp_path)
    for calls in range(1, 40):
        left = [calls]

        def failing(function: Callable[..., Any], left: list[int] = left, calls: int = calls) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise (OSError(errno.ENOSPC, "No space left on device") if calls % 2 else KeyboardInterrupt)
                return function(*args, **options)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing(os.fsync))
            patch.setattr(Path, "replace", failing(Path.replace))
            patch.setattr(Path, "open", failing(Path.open))
            with suppress(OSError, KeyboardInterrupt):
                save(model(2.0), path)
        now = contents(tmp_path)
        assert now.keys() == before.keys(), calls
        if left[0] > 0:  # all calls went well
            break
        if len(before) == 1:
            if now != before and name in ("m.keras", "m.h5", "checkpoint.keras"):
                assert {float(array.mean()) for array in saving.load_model(path, compile=False).get_weights()} == {2.0}
            else:
                assert now == before or len(now[name]) == len(before[name])  # the new one, whole
            continue
        with suppress(ValueError):  # several files cannot be renamed at once, but are not mixed up
            made = model(3.0)
            made.load_weights(tmp_path / "several.weights.json")
            assert len({float(array.mean()) for array in made.get_weights()}) == 1
        save(model(1.0), path)
    assert left[0] > 0


def test_files_of_two_saves_are_not_mixed_up(tmp_path: Path) -> None:
    sharded(model(1.0), tmp_path / "m.weights.h5")
    first = tmp_path / "m_00000.weights.h5"
    raw = first.read_bytes()
    sharded(model(2.0), tmp_path / "m.weights.h5")
    first.write_bytes(raw)
    with pytest.raises(ValueError, match=r"the files of .*m\.weights\.json are not of one save: some are newer"):
        model(0.0).load_weights(tmp_path / "m.weights.json")


def test_folders_and_names(tmp_path: Path) -> None:
    made = model(1.0)
    with pytest.raises(OSError, match=r"there is no folder .*absent\..*Make it first"):
        made.save(tmp_path / "absent" / "m.keras")
    (tmp_path / "m.weights.h5").mkdir()
    with pytest.raises(OSError, match=r"m\.weights\.h5 is a folder, and a file was to have this name"):
        made.save_weights(tmp_path / "m.weights.h5")
    with (
        pytest.raises(
            PermissionError, match=r"was not saved: the folder .* cannot be written to \(Permission denied\)"
        ),
        replacing(tmp_path / "a.txt"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(RuntimeError, match=r"^something else$"), replacing(tmp_path / "a.txt"):
        raise RuntimeError("something else")


def test_what_killed_processes_leave_is_swept_up(tmp_path: Path) -> None:
    path = tmp_path / "m.state"
    mine, other = tmp_path / ".m.state.00.part", tmp_path / ".n.state.00.part"
    fresh = tmp_path / ".m.state.01.part"
    for part in (mine, other, fresh):
        part.write_bytes(b"x")
    for part in (mine, other):
        os.utime(part, (time.time() - 7200,) * 2)
    write_state(path, {})
    assert sorted(contents(tmp_path)) == sorted(["m.state", other.name, fresh.name])


def test_two_that_save_to_one_name(tmp_path: Path) -> None:
    """The file is always whole, and one of the two."""
    path = tmp_path / "m.state"
    values = {1: np.full(50_000, 1.0), 2: np.full(50_000, 2.0)}
    write_state(path, {"value": values[1]})
    program = (
        "import sys, numpy as np\nfrom gpudl.utils.state_file import write_state\n"
        "for _ in range(40): write_state(sys.argv[1], {'value': np.full(50_000, 2.0)})"
    )
    end = threading.Event()

    def writing() -> None:
        while not end.is_set():
            write_state(path, {"value": values[1]})

    here = threading.Thread(target=writing)
    here.start()
    seen = set()
    with subprocess.Popen([sys.executable, "-c", program, str(path)]) as other:
        while other.poll() is None:
            value = np.array(read_state(path)["value"])
            assert (value == value[0]).all()
            seen.add(value[0])
    end.set()
    here.join()
    assert other.returncode == 0
    assert seen == {1.0, 2.0}
    assert list(contents(tmp_path)) == ["m.state"]


def test_a_damaged_archive_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    checkpoint(model(1.0), path)
    raw = path.read_bytes()
    weights = raw.index(np.full(8, 1.0, np.float32).tobytes())
    path.write_bytes(raw[: weights + 8] + b"\x01" + raw[weights + 9 :])
    with pytest.raises(ValueError, match=r"m\.keras is damaged: the checksum of its weights is another"):
        saving.load_model(path)
