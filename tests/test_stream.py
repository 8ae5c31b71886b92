"""Data that the device cannot hold: batches come from pinned memory, one ahead, on the strict double of CuPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from strict_cupy import Meter, cuda, installed

import gpudl
from gpudl import backend, layers
from gpudl.backend.cupy_backend import CupyBackend
from gpudl.training.data.batch_inputs import StreamedCursor


@pytest.fixture
def meter() -> Iterator[Meter]:
    with installed() as meter:
        backend.use("cupy")
        yield meter


@pytest.fixture
def small(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> Meter:
    """A device that holds no data set."""
    monkeypatch.setattr(CupyBackend, "holds", lambda self, nbytes: False)
    return meter


def data(samples: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((samples, 6)), rng.integers(0, 3, samples)


def trained(**options: Any) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    gpudl.utils.set_random_seed(3)
    model = gpudl.Sequential([layers.BatchNormalization(input_shape=(6,)), layers.Activation("tanh")])
    model.compile(gpudl.optimizers.SGD(0.1), gpudl.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data()
    history = model.fit(x, y, batch_size=8, epochs=3, verbose=0, validation_data=(x, y), **options)
    return [*model.get_weights(), model.predict(x, batch_size=7, verbose=0)], history.history


@pytest.mark.filterwarnings("ignore:the data ended after 3 of 4 steps")
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"steps_per_epoch": 4}, {"class_weight": {1: 2.0}}])
def test_a_training_on_streamed_data_is_that_on_data_on_the_device(
    meter: Meter, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    resident = trained(**options)
    monkeypatch.setattr(CupyBackend, "holds", lambda self, nbytes: False)
    np.testing.assert_equal(trained(**options), resident)


def test_a_batch_is_sent_while_the_last_one_is_used(small: Meter) -> None:
    cursor = StreamedCursor(4, None, 10)
    source = np.arange(10.0)
    out = backend.current().empty((4,), np.dtype(np.float32))
    copy = cursor.copy(out, source)
    sent = []
    for start in (0, 4):
        cursor.begin(0) if start == 0 else cursor.advance()
        small.reset()
        copy()
        sent.append(small.host_to_device)
        np.testing.assert_array_equal(out.get(), source[start : start + 4])
    assert sent == [2, 0], "the second came with the first; there is no third of four rows"
    source += 100
    cursor.begin(0)
    copy()
    np.testing.assert_array_equal(out.get(), source[:4]), "a new pass sends anew"


def test_the_host_does_not_write_what_is_still_being_copied(small: Meter) -> None:
    upload = backend.current().upload((2,), np.dtype(np.float32))
    out = backend.current().empty((2,), np.dtype(np.float32))
    for k in range(6):
        upload.buffer()[...] = [k, -k]
        upload.send()
        if k % 2:
            upload.receive(out)
            np.testing.assert_array_equal(out.get(), [k, -k])


def test_memory_is_bounded(small: Meter) -> None:
    x, y = data(4096)
    model = gpudl.Sequential([layers.Activation("tanh", input_shape=(6,))])
    model.compile("sgd", gpudl.losses.SparseCategoricalCrossentropy(from_logits=True))
    made: list[int] = []
    real = CupyBackend.empty
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CupyBackend, "empty", lambda on, shape, dtype: made.append(1) or real(on, shape, dtype))
        model.evaluate(x, y, batch_size=64, verbose=0)
        first = len(made)
        model.evaluate(x, y, batch_size=64, verbose=0)
    assert len(made) - first < 10, "64 batches take turns in the same buffers"


@pytest.mark.parametrize(("nbytes", "holds"), [(0, True), (2**32, True), (2**32 + 1, False)])
def test_half_of_the_free_memory_is_for_data(meter: Meter, nbytes: int, holds: bool) -> None:
    assert cuda.runtime.memGetInfo()[0] == 2**33
    assert backend.current().holds(nbytes) is holds
