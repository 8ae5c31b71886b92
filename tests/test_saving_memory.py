"""What saving and loading take: no second copy of the weights, and on a card one transfer for each flat buffer."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strict_cupy import Meter, installed

import gpudl
from gpudl import backend, layers, models

WIDTH, COUNT = 300, 24  # a layer is a twenty-fourth of the model: less than a tenth

BLOCKS = 2 << 20  # for checksums, which do not grow with the model


def stack(width: int = WIDTH, count: int = COUNT) -> gpudl.Model:
    return gpudl.Sequential([layers.Input((width,)), *(layers.Dense(width) for _ in range(count))])


def most(call: Callable[[], Any]) -> tuple[int, Any]:
    """Return by how many bytes NumPy's and Python's memory grew at most, and the result."""
    tracemalloc.start()
    try:
        made = call()
        return tracemalloc.get_traced_memory()[1], made
    finally:
        tracemalloc.stop()


@pytest.mark.host
@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "m.npz", "m.safetensors"])
def test_nothing_is_copied_on_the_way(name: str, tmp_path: Path) -> None:
    model = stack()
    size = 4 * model.count_params()
    whole = name in ("m.keras", "m.h5")
    (model.save if whole else model.save_weights)(tmp_path / name)  # brings in the libraries
    grown, _ = most(lambda: (model.save if whole else model.save_weights)(tmp_path / name))
    assert grown < 0.1 * size + BLOCKS
    if whole:
        models.load_model(tmp_path / name)
        grown, again = most(lambda: models.load_model(tmp_path / name))
        assert grown < 1.1 * size + BLOCKS
    else:
        again = stack()
        grown, _ = most(lambda: again.load_weights(tmp_path / name))
        assert grown < 0.1 * size + BLOCKS
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_that_a_file_lacks_have_their_initial_values(tmp_path: Path) -> None:
    """Large ones are not drawn before it is known what the file has."""

    class Own(layers.Layer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.table = self.add_weight((300, 300), "ones", name="table")
            self.set = self.add_weight((300, 300), "zeros", name="set")

        def call(self, x: gpudl.Tensor) -> gpudl.Tensor:
            return x @ self.table @ self.set

        def save_own_variables(self, store: dict[str, Any]) -> None:
            store["set"] = self.set.numpy()

        def load_own_variables(self, store: dict[str, Any]) -> None:
            self.set.assign(store["set"])

    model = gpudl.Sequential([layers.Input((300,)), Own(), layers.Dense(300)])
    model.layers[0].set.assign(np.full((300, 300), 2.0))
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Own": Own})
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def meter() -> Iterator[Meter]:
    with installed() as meter, backend.scope("cupy"):
        yield meter


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "m.npz", "m.safetensors"])
def test_a_flat_buffer_is_one_transfer(name: str, meter: Meter, tmp_path: Path) -> None:
    """The weights, Adam's two slots, and two numbers beside them: the count of steps and the learning rate."""

    def made() -> gpudl.Model:
        model = gpudl.Sequential([layers.Input((3,)), *(layers.Dense(3) for _ in range(6))])
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
        return model

    model, whole = made(), name in ("m.keras", "m.h5")
    model.set_weights([np.full(w.shape, number, w.dtype) for number, w in enumerate(model.get_weights())])
    meter.reset()
    (model.save if whole else model.save_weights)(tmp_path / name)
    assert meter.device_to_host == 5 + 2 * whole  # the config has the learning rate, twice
    again = made()
    meter.reset()
    again.load_weights(tmp_path / name)
    assert (meter.host_to_device, meter.device_to_host) == (5 if name != "m.h5" else 1, 0)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    skipped = gpudl.Sequential([layers.Input((3,)), *(layers.Dense(3 + (n == 5)) for n in range(6))])
    skipped.compile("sgd", "mse")
    skipped.optimizer.build(skipped.trainable_variables)
    last = skipped.layers[-1].get_weights()
    with pytest.warns(UserWarning, match="leaves"):
        skipped.load_weights(tmp_path / name, skip_mismatch=True)
    np.testing.assert_array_equal(skipped.layers[0].get_weights()[1], model.layers[0].get_weights()[1])
    np.testing.assert_array_equal(skipped.layers[-1].get_weights()[0], last[0])
