"""Files of Keras 3 open in gpudl and the reverse: the same predictions, and the same next step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from saved_models import MODELS, X, Y

import gpudl
from gpudl.saving.keras_operations import keras_operations

OPTIMIZERS = ("SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Nadam", "Ftrl", "Lion", "Adafactor")


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


def trained(k: Any, name: str, optimizer: str) -> Any:
    make, x = MODELS[name]
    model = make(k)
    model.compile(getattr(k.optimizers, optimizer)(0.01), k.losses.MeanSquaredError(), metrics=["mae"])
    model.fit(x, Y, epochs=1, batch_size=4, shuffle=False, verbose=0)
    return model


def check_same(one: Any, other: Any, x: np.ndarray, again: bool = True) -> None:
    np.testing.assert_allclose(one.predict(x, verbose=0), other.predict(x, verbose=0), rtol=1e-5, atol=1e-5)
    if again:
        for model in (one, other):
            model.fit(x, Y, epochs=1, batch_size=8, shuffle=False, verbose=0)
        np.testing.assert_allclose(one.predict(x, verbose=0), other.predict(x, verbose=0), rtol=1e-4, atol=1e-4)


@parity
@pytest.mark.parametrize("name", MODELS)
def test_models_move_both_ways(name: str, keras: Any, tmp_path: Path) -> None:
    x, again = MODELS[name][1], name != "convolutional"  # which draws other random numbers for its dropout
    ours = trained(gpudl, name, "Adam")
    ours.save(tmp_path / "ours.keras")
    check_same(ours, keras.models.load_model(tmp_path / "ours.keras"), x, again)
    theirs = trained(keras, name, "Adam")
    theirs.save(tmp_path / "theirs.keras")
    check_same(theirs, gpudl.models.load_model(tmp_path / "theirs.keras"), x, again)


@parity
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_go_on_where_they_were(optimizer: str, keras: Any, tmp_path: Path) -> None:
    ours = trained(gpudl, "nested", optimizer)
    ours.save(tmp_path / "ours.keras")
    check_same(ours, keras.models.load_model(tmp_path / "ours.keras"), X)
    theirs = trained(keras, "nested", optimizer)
    theirs.save(tmp_path / "theirs.keras")
    check_same(theirs, gpudl.models.load_model(tmp_path / "theirs.keras"), X)


@parity
def test_the_table_of_operations_is_that_of_keras(keras: Any) -> None:
    """Each class of the table is in Keras, is made with these options, and is what the function of this name makes."""
    import importlib
    import inspect

    for name, it in keras_operations().items():
        kind = getattr(importlib.import_module(it.module), it.class_name)
        options = tuple(p for p in inspect.signature(kind.__init__).parameters if p not in ("self", "name"))
        assert options == it.options, name


@parity
@pytest.mark.parametrize("name", ["convolutional", "residual", "nested"])
def test_the_older_format_moves_both_ways(name: str, keras: Any, tmp_path: Path) -> None:
    x = MODELS[name][1]
    ours, theirs = trained(gpudl, name, "Adam"), trained(keras, name, "Adam")
    ours.save(tmp_path / "ours.h5")
    check_same(ours, keras.models.load_model(tmp_path / "ours.h5", compile=False), x, again=False)
    theirs.save(tmp_path / "theirs.h5")
    check_same(theirs, gpudl.models.load_model(tmp_path / "theirs.h5"), x, again=name != "convolutional")
