"""Callbacks that write files: checkpoints, backups, CSV, TensorBoard."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import gpudl
from gpudl import callbacks, layers

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)
Y = X[:, :1] * 2


def compiled(seed: int = 1, optimizer: object = "adam") -> gpudl.Model:
    gpudl.utils.set_random_seed(seed)
    model = gpudl.Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def trained(model: gpudl.Model, *extra: callbacks.Callback, **options: object) -> gpudl.callbacks.History:
    options = {"epochs": 3, "batch_size": 4, "shuffle": False, "verbose": 0, **options}
    return model.fit(X, Y, callbacks=list(extra), **options)


class TestModelCheckpoint:
    def test_a_file_after_each_epoch(self, tmp_path: Path) -> None:
        model = compiled()
        place = tmp_path / "new" / "{epoch:02d}-{mae:.1f}.weights.h5"
        history = trained(model, callbacks.ModelCheckpoint(place, save_weights_only=True))
        expected = [f"{n:02d}-{mae:.1f}.weights.h5" for n, mae in enumerate(history.history["mae"], 1)]
        assert sorted(os.listdir(tmp_path / "new")) == expected
        other = compiled(2)
        other.load_weights(tmp_path / "new" / expected[-1])
        np.testing.assert_array_equal(other.layers[0].kernel, model.layers[0].kernel)

    def test_a_file_every_so_many_batches(self, tmp_path: Path) -> None:
        saving = callbacks.ModelCheckpoint(tmp_path / "{epoch}.{batch}.weights.h5", save_weights_only=True, save_freq=3)
        trained(compiled(), saving)
        assert sorted(os.listdir(tmp_path)) == [f"{at}.weights.h5" for at in ("1.3", "2.2", "3.1", "3.4")]

    @pytest.mark.parametrize(
        ("values", "options", "saved"),
        [
            ([3.0, 4.0, 2.0], {}, [1, 3]),
            ([3.0, 4.0, 2.0], {"mode": "max"}, [1, 2]),
            ([3.0, 4.0, 2.0], {"initial_value_threshold": 2.5}, [3]),
            ([3.0, 4.0, 2.0], {"save_best_only": False}, [1, 2, 3]),
            ([0.3, 0.4, 0.2], {"monitor": "accuracy"}, [1, 2]),
        ],
    )
    def test_only_the_best(
        self, values: list[float], options: dict[str, object], saved: list[int], tmp_path: Path
    ) -> None:
        options = {"monitor": "val_loss", "save_best_only": True, **options}
        saving = callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True, **options)
        saving.set_model(compiled())
        for epoch, value in enumerate(values):
            saving.on_epoch_begin(epoch)
            saving.on_epoch_end(epoch, {options["monitor"]: value})
        assert sorted(os.listdir(tmp_path)) == [f"{n}.weights.h5" for n in saved]

    def test_what_is_said(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = str(tmp_path / "m.weights.h5")
        saving = callbacks.ModelCheckpoint(path, "loss", 1, save_best_only=True, save_weights_only=True)
        saving.set_model(compiled())
        for epoch, value in enumerate((3.0, 4.0)):
            saving.on_epoch_end(epoch, {"loss": value})
        assert capsys.readouterr().out == (
            f"\nEpoch 1: loss improved from None to 3.00000, saving model to {path}\n"
            f"\nEpoch 1: finished saving model to {path}\n"
            "\nEpoch 2: loss did not improve from 3.00000\n"
        )

    def test_bad_arguments(self, tmp_path: Path) -> None:
        make = callbacks.ModelCheckpoint
        with pytest.raises(ValueError, match=r"the filepath must end in `\.weights\.h5`, got 'm\.h5'"):
            make("m.h5", save_weights_only=True)
        with pytest.raises(ValueError, match="save_freq must be 'epoch' or a number of batches"):
            make("m.weights.h5", save_weights_only=True, save_freq="batch")
        saving = make(tmp_path / "{nothing}.weights.h5", save_weights_only=True)
        with pytest.raises(
            ValueError, match=r"cannot fill in the filepath .*: 'nothing'\. There are: epoch, loss, mae\."
        ):
            trained(compiled(), saving)
        saving = make(tmp_path / "m.weights.h5", save_weights_only=True, save_best_only=True)
        with pytest.warns(UserWarning, match="'val_loss' is no number in the logs, so every model is saved"):
            trained(compiled(), saving, epochs=1)


class TestCSVLogger:
    def test_rows_as_they_come(self, tmp_path: Path) -> None:
        file = tmp_path / "log.csv"
        history = trained(compiled(), callbacks.CSVLogger(file, separator=";"), validation_data=(X, Y))
        lines = file.read_text().splitlines()
        assert lines[0] == "epoch;loss;mae;val_loss;val_mae"
        assert lines[1].split(";")[1] == str(history.history["loss"][0])
        trained(compiled(), callbacks.CSVLogger(file, separator=";", append=True), validation_data=(X, Y), epochs=1)
        assert [line[:2] for line in file.read_text().splitlines()] == ["ep", "0;", "1;", "2;", "0;"]

    def test_values_that_are_no_numbers_and_missing_ones(self, tmp_path: Path) -> None:
        logger = callbacks.CSVLogger(tmp_path / "log.csv")
        logger.on_train_begin()
        logger.on_epoch_end(0, {"loss": np.float32(0.5), "name": "a", "row": np.arange(2)})
        logger.on_epoch_end(1, {"loss": np.array(0.25)})
        logger.on_train_end()
        assert (tmp_path / "log.csv").read_text().splitlines() == [
            "epoch,loss,name,row,val_loss,val_name,val_row",
            '0,0.5,a,"""[0, 1]""",NA,NA,NA',
            "1,0.25,NA,NA,NA,NA,NA",
        ]


class TestTensorBoard:
    def test_curves_and_histograms(self, tmp_path: Path) -> None:
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        board = callbacks.TensorBoard(
            tmp_path, histogram_freq=1, update_freq=2, write_steps_per_second=True, write_graph=False
        )
        history = trained(compiled(), board, validation_data=(X, Y))
        read = {}
        for folder in ("train", "validation"):
            events = accumulator.EventAccumulator(str(tmp_path / folder))
            events.Reload()
            read[folder] = {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}
        losses = [event.tensor_proto.float_val[0] for event in read["train"]["epoch_loss"]]
        np.testing.assert_allclose(losses, history.history["loss"], rtol=1e-6)
        assert [event.step for event in read["train"]["batch_loss"]] == [2, 4, 6, 8, 10, 12]
        assert {"epoch_learning_rate", "epoch_steps_per_second", "epoch_mae"} <= set(read["train"])
        assert sum(tag.endswith("/histogram") for tag in read["train"]) == 4
        assert set(read["validation"]) == {
            *("epoch_loss", "epoch_mae", "evaluation_loss_vs_iterations", "evaluation_mae_vs_iterations"),
        }

    def test_bad_arguments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(NotImplementedError, match="TensorBoard: write_images=True is not supported"):
            callbacks.TensorBoard(write_images=True)
        with pytest.raises(ValueError, match="update_freq must be 'epoch', 'batch' or a number of batches, got 'day'"):
            callbacks.TensorBoard(update_freq="day")
        monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
        with pytest.raises(ImportError, match=re.escape('install gpudl with the extra "tensorboard"')):
            callbacks.TensorBoard()
