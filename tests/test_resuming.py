"""A training that is interrupted goes on with `BackupAndRestore`, and ends with the same bits."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumed import StopAfter, StoppedError, X, Y, digest, listeners, network, shuffled

import gpudl
from gpudl import callbacks
from gpudl.utils.state_file import read_state

ARRAYS = {"x": X, "y": Y, "epochs": 3, "batch_size": 5, "validation_data": (X, Y)}
STREAM = {"epochs": 3, "steps_per_epoch": 4, "validation_steps": 2}


def averaging() -> gpudl.optimizers.Optimizer:
    return gpudl.optimizers.SGD(
        0.1, momentum=0.9, use_ema=True, ema_overwrite_frequency=3, gradient_accumulation_steps=2
    )


class Turned(gpudl.utils.PyDataset):
    """A data set that shuffles itself, from a generator of its own; it has a state, if `saves`."""

    def __init__(self, saves: bool) -> None:
        super().__init__()
        self.rng = np.random.default_rng(5)
        self.rows = np.arange(len(X))
        if saves:
            self.get_state = lambda: {"rows": self.rows, "rng": self.rng.bit_generator.state}
            self.set_state = self._set

    def _set(self, state: dict[str, Any]) -> None:
        self.rows, self.rng.bit_generator.state = state["rows"], state["rng"]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows[index * 5 : index * 5 + 5]
        return X[rows], Y[rows]

    def on_epoch_begin(self) -> None:
        self.rng.shuffle(self.rows)

    def on_epoch_end(self) -> None:
        self.rng.shuffle(self.rows)


def pipeline() -> gpudl.utils.pipeline.Dataset:
    return gpudl.utils.pipeline.Dataset.from_tensor_slices((X, Y)).shuffle(9, seed=4).batch(5)


# What `fit` gets, when the state is saved, what the model is compiled with, and after how many calls it is stopped.
CASES: dict[str, tuple[Callable[[], dict[str, Any]], str | int, dict[str, Any], tuple[int, ...]]] = {
    "epochs": (lambda: ARRAYS, "epoch", {}, (15, 42)),
    "each batch": (lambda: ARRAYS, 1, {}, (11, 12, 14)),
    "every third batch": (lambda: ARRAYS, 3, {}, (20, 41)),
    "several steps at once": (lambda: ARRAYS, 2, {"steps_per_execution": 2}, (5, 9)),
    "passes over several epochs": (lambda: {**ARRAYS, "batch_size": 4, "steps_per_epoch": 2}, 1, {}, (8, 13)),
    "averages and sums of gradients": (lambda: ARRAYS, 2, {"optimizer": averaging}, (13, 42)),
    "a generator": (lambda: {**STREAM, "x": shuffled(), "validation_data": shuffled()}, 3, {}, (5, 21)),
    "a data set that turns itself": (lambda: {"x": Turned(saves=False), "epochs": 3}, 1, {}, (8, 22)),
    "a data set with a state": (lambda: {"x": Turned(saves=True), "epochs": 3}, 1, {}, (8, 22)),
    "a pipeline": (lambda: {"x": pipeline(), "epochs": 3}, 3, {}, (8, 22)),
}


def fitted(folder: Path, case: str, stop: int = 0) -> str:
    """Train, and return a hash of all that came out; end after `stop` calls of a callback, if it is not 0."""
    options, save_freq, compiled, _ = CASES[case]
    optimizer = compiled.get("optimizer", lambda: "adam")()
    model = network(**{**compiled, "optimizer": optimizer})
    monitor = "val_loss" if "validation_data" in options() else "loss"
    extra = [StopAfter(stop)] if stop else []
    watching = listeners(folder, monitor, save_freq=save_freq)
    try:
        history = model.fit(callbacks=[*watching, *extra], verbose=0, **options())
    finally:
        next(c for c in watching if isinstance(c, callbacks.CSVLogger)).on_train_end()
    return digest(model, history, folder / "log.csv")


@pytest.mark.parametrize("case", CASES)
def test_the_same_bits_wherever_it_was_stopped(case: str, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = fitted(tmp_path / "whole", case)
    for stop in CASES[case][-1]:
        folder = tmp_path / str(stop)
        folder.mkdir()
        with pytest.raises(StoppedError):
            fitted(folder, case, stop)
        np.random.seed(9)  # whatever the program drew before
        assert fitted(folder, case) == whole, f"stopped after {stop} calls"
        assert not (folder / "backup").exists()


def test_a_training_may_be_stopped_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = fitted(tmp_path / "whole", "each batch")
    for stop in (4, 5):
        with pytest.raises(StoppedError):
            fitted(tmp_path, "each batch", stop)
    assert fitted(tmp_path, "each batch") == whole


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="it looks there which file is flushed")
def test_a_disk_that_fills_up_in_the_midst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whole").mkdir()
    whole = fitted(tmp_path / "whole", "each batch")
    flush, left = os.fsync, [11]

    def failing(descriptor: int) -> None:
        left[0] -= os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part")
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        full = r"was not saved: the disk is full \(No space left on device\)\. The file that was there is as it was\."
        with pytest.raises(OSError, match=full):
            fitted(tmp_path, "each batch")
    assert fitted(tmp_path, "each batch") == whole


class TestDamage:
    @pytest.fixture
    def stopped(self, tmp_path: Path) -> Path:
        with pytest.raises(StoppedError):
            fitted(tmp_path, "every third batch", 22)
        return tmp_path

    def test_the_state_before_a_damaged_one_is_used(self, stopped: Path) -> None:
        (stopped / "whole").mkdir()
        whole = fitted(stopped / "whole", "every third batch")
        latest = stopped / "backup" / "latest.state"
        raw = latest.read_bytes()
        for part in (0.0, 0.99):
            folder = stopped / str(part)
            shutil.copytree(stopped / "backup", folder / "backup")
            shutil.copy(stopped / "log.csv", folder)
            (folder / "backup" / "latest.state").write_bytes(raw[: int(part * len(raw))])
            with pytest.warns(UserWarning, match=r"goes on from the state before the last one: .*latest.state is dam"):
                assert fitted(folder, "every third batch") == whole

    def test_nothing_is_begun_anew_by_itself(self, stopped: Path) -> None:
        for file in (stopped / "backup").iterdir():
            raw = bytearray(file.read_bytes())
            raw[len(raw) // 2] ^= 1
            file.write_bytes(raw)
        with pytest.raises(
            ValueError, match=r"cannot go on: .* do not have the checksum .* Delete the folder .*backup"
        ):
            fitted(stopped, "every third batch")

    def test_without_a_second_state(self, tmp_path: Path) -> None:
        backup = callbacks.BackupAndRestore(tmp_path, double_checkpoint=False, delete_checkpoint=False)
        network().fit(X, Y, epochs=2, callbacks=[backup], verbose=0)
        assert [path.name for path in tmp_path.iterdir()] == ["latest.state"]


class TestAnotherTraining:
    @pytest.fixture
    def backup(self, tmp_path: Path) -> callbacks.BackupAndRestore:
        backup = callbacks.BackupAndRestore(tmp_path, save_freq=2)
        with pytest.raises(StoppedError):
            network().fit(X, Y, batch_size=5, callbacks=[backup, StopAfter(6)], verbose=0)
        return backup

    def test_another_model(self, backup: callbacks.BackupAndRestore) -> None:
        model = gpudl.Sequential([gpudl.layers.Dense(1, input_shape=(4,))])
        model.compile("adam", "mse", metrics=["mae"])
        before = model.get_weights()
        with pytest.raises(ValueError, match=r"another model or optimizer: it has \d+ variables, and this one \d+"):
            model.fit(X, Y, callbacks=[backup], verbose=0)
        assert all(map(np.array_equal, before, model.get_weights()))

    def test_other_shapes(self, backup: callbacks.BackupAndRestore) -> None:
        model, narrower = network(), network(width=3)
        with pytest.raises(ValueError, match=r"dense.*/kernel has shape \(4, 6\) and dtype float32, and .* \(3, 6\)"):
            narrower.fit(X[:, :3], Y, batch_size=5, callbacks=[backup], verbose=0)
        with pytest.raises(ValueError, match="in the midst of an epoch of 5 steps, and now an epoch has 2"):
            model.fit(X, Y, batch_size=11, callbacks=[backup], verbose=0)

    def test_other_callbacks(self, backup: callbacks.BackupAndRestore) -> None:
        stopping = callbacks.EarlyStopping("loss")
        with pytest.warns(UserWarning, match="none had a state and are not there now, EarlyStopping begin again"):
            network().fit(X, Y, batch_size=5, callbacks=[backup, stopping], verbose=0)

    def test_a_callback_whose_state_is_no_data(self, tmp_path: Path) -> None:
        class Odd(callbacks.Callback):
            def get_state(self) -> dict[str, Any]:
                return {"what": object()}

        backup = callbacks.BackupAndRestore(tmp_path)
        with pytest.raises(TypeError, match=r"state\['callbacks'\]\[0\]\[1\]\['what'\] is <object .*of type object"):
            network().fit(X, Y, callbacks=[backup, Odd()], verbose=0)


def test_bad_arguments(tmp_path: Path) -> None:
    for folder in ("", None, 3):
        with pytest.raises(ValueError, match=f"backup_dir must name a folder, got {folder!r}"):
            callbacks.BackupAndRestore(folder)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="BackupAndRestore: save_freq must be 'epoch' or a number of batches"):
        callbacks.BackupAndRestore(tmp_path, save_freq=0)
    alone = callbacks.CallbackList([callbacks.BackupAndRestore(tmp_path)], model=network())
    with pytest.raises(ValueError, match="BackupAndRestore saves trainings by fit"):
        alone.on_epoch_end(0, {})


def test_a_state_that_is_kept(tmp_path: Path) -> None:
    """`fit` with more epochs goes on from the end of the training before."""
    backup = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    whole = network()
    expected = digest(whole, whole.fit(X, Y, epochs=3, verbose=0))
    model = network()
    model.fit(X, Y, epochs=2, callbacks=[backup], verbose=0)
    assert read_state(tmp_path / "latest.state")["epoch"] == 2
    again = network()
    assert digest(again, again.fit(X, Y, epochs=3, callbacks=[backup], verbose=0)) == expected
