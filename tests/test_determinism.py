"""One seed gives the same bits: for any number of threads, once more, and on the double of a GPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from resumed import StopAfter, StoppedError, X, Y, digest, network
from strict_cupy import installed
from thread_tools import workers

import gpudl
from gpudl import backend, callbacks, layers


def trained() -> str:
    """Train a network of convolutions, an LSTM and attention, and return a hash of all its variables."""
    gpudl.utils.set_random_seed(5)
    image = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Reshape((16, 8))(layers.MaxPooling2D()(layers.SpatialDropout2D(0.1)(x)))
    x = layers.LSTM(12, return_sequences=True, dropout=0.1)(x)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 6, dropout=0.1)(x, x))
    model = gpudl.Model(image, layers.Dense(3)(layers.Dropout(0.2)(layers.Flatten()(x))))
    model.compile("adamw", gpudl.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    rng = np.random.default_rng(2)
    images, labels = rng.normal(size=(24, 8, 8, 3)).astype(np.float32), rng.integers(0, 3, 24)
    history = model.fit(images, labels, batch_size=10, epochs=2, validation_split=0.2, verbose=0)
    return digest(model, history)


def test_the_same_bits_for_any_number_of_threads() -> None:
    found = {}
    for count in (1, 2, 7):
        with workers(count):
            found[count] = trained()
    assert len(set(found.values())) == 1, found


@pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
def test_the_same_bits_on_the_double_and_when_a_training_goes_on(tmp_path: Path) -> None:
    with installed():
        backend.use("cupy")
        options = {"batch_size": 5, "epochs": 2, "verbose": 0}
        whole = network()
        expected = digest(whole, whole.fit(X, Y, **options))
        backup = callbacks.BackupAndRestore(tmp_path, save_freq=2)
        with pytest.raises(StoppedError):
            network().fit(X, Y, callbacks=[backup, StopAfter(8)], **options)
        resumed = network()
        assert digest(resumed, resumed.fit(X, Y, callbacks=[backup], **options)) == expected
