"""Trainings that are interrupted and go on, and what must be the same after them, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import gpudl
from gpudl import callbacks, layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 4)).astype(np.float32)
Y = (X[:, :1] * 2 - X[:, 1:2]).astype(np.float32)


class StoppedError(Exception):
    """Ends a training, as a signal would."""


class StopAfter(callbacks.Callback):
    """Ends a training after so many batches, epochs, or other calls of its hooks."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def _call(self, *args: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise StoppedError

    on_train_batch_begin = on_train_batch_end = on_epoch_begin = on_epoch_end = on_test_begin = on_test_end = _call
    on_train_end = _call

    def on_train_begin(self, logs: object = None) -> None:
        """Leave the beginning alone."""


def network(optimizer: object = "adam", width: int = 4, **options: Any) -> gpudl.Model:
    """Return a small model with all kinds of state: random generators, moving means, slots, metrics."""
    gpudl.utils.set_random_seed(3)
    model = gpudl.Sequential(
        [
            layers.Input((width,)),
            layers.Dense(6, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"], **options)
    return model


def digest(model: gpudl.Model, history: callbacks.History | None = None, *files: Path) -> str:
    """Return a hash of all the variables of a model and its optimizer, of a history, and of files."""
    hashed = hashlib.sha256()
    for variable in (*model.variables, *model.optimizer.variables):
        hashed.update(np.ascontiguousarray(variable.numpy()).tobytes())
    if history is not None:
        hashed.update(repr((history.epoch, sorted(history.history.items()))).encode())
    for file in files:
        hashed.update(file.read_bytes())
    return hashed.hexdigest()


def listeners(folder: Path, monitor: str = "val_loss", **options: Any) -> list[callbacks.Callback]:
    """Return callbacks that have a state, `BackupAndRestore` the first of them."""
    return [
        callbacks.BackupAndRestore(folder / "backup", **options),
        callbacks.CSVLogger(folder / "log.csv"),
        callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True),
        callbacks.ReduceLROnPlateau(monitor, factor=0.5, patience=1, min_delta=0.5),
        callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        callbacks.ModelCheckpoint(folder / "best.weights.h5", "mae", save_best_only=True, save_weights_only=True),
    ]


def shuffled() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches in a random order, without end."""
    while True:
        rows = np.random.permutation(len(X))[:5]
        yield X[rows], Y[rows]
