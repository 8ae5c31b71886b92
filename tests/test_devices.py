"""Several cards side by side, chosen by `gpudl.device`, on the strict double of CuPy."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.cuda import launch
from strict_cupy import DevArray, Meter, cuda, installed, machine
from strict_cupy import blas as cublas

import gpudl
from gpudl import backend, layers
from gpudl.backend import BackendError

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")


@pytest.fixture
def meter() -> Iterator[Meter]:
    with installed() as meter:
        machine.cards = 2
        yield meter


def model(dropout: float = 0.5) -> gpudl.Sequential:
    gpudl.utils.set_random_seed(1)
    made = gpudl.Sequential(
        [
            layers.Conv2D(2, 3, activation="relu", input_shape=(6, 6, 1)),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(3, activation="softmax"),
        ]
    )
    made.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((6, 6, 6, 1), dtype=np.float32), rng.integers(3, size=6)


def trained(made: gpudl.Sequential, *, shuffle: bool = True) -> list[np.ndarray]:
    x, y = data()
    made.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=shuffle)
    made.evaluate(x, y, verbose=0)
    return [*made.get_weights(), made.predict(x, verbose=0)]


def card_of(tensor: Any) -> int:
    assert isinstance(tensor.data, DevArray)
    return int(tensor.data.data.device_id)


def test_what_is_made_inside_lives_there(meter: Meter) -> None:
    backend.use("cupy")
    expected = trained(model())
    with gpudl.device("GPU:1") as on:
        assert on.describe() == "GPU 1 (strict double), CuPy 14.2.0"
        assert backend.current() is on
        assert cuda.runtime.getDevice() == 1, "your own CuPy code goes there too"
        made = model()
        values = trained(made)
        assert {card_of(v) for v in made.weights} == {1}
        assert {card_of(v) for v in made.optimizer.variables} == {1}
    assert cuda.runtime.getDevice() == 0
    assert backend.current().index == 0
    for got, wanted in zip(values, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert {key[0] for key in launch._kernels} == {0, 1}, "kernels are compiled for each card"
    assert {handle.card for handle in cublas.handles.values()} == {0, 1}


def test_devices_nest_and_end_by_an_exception(meter: Meter) -> None:
    backend.use("cupy")
    with gpudl.device("gpu:1"):
        with gpudl.device("cpu"):
            assert isinstance(gpudl.convert_to_tensor([1.0]).data, np.ndarray)
        with gpudl.device("gpu"):
            assert card_of(gpudl.convert_to_tensor([1.0])) == 1, '"gpu" is the current card'
        with pytest.raises(ZeroDivisionError), gpudl.device("gpu:0"):
            raise ZeroDivisionError
        assert card_of(gpudl.convert_to_tensor([1.0])) == 1
    assert card_of(gpudl.convert_to_tensor([1.0])) == 0


def test_a_tensor_is_computed_with_where_it_lies(meter: Meter) -> None:
    backend.use("cupy")
    with gpudl.device("gpu:1"):
        x = gpudl.Variable([[1.0, 2.0]])
    y = x * 2 + x @ gpudl.ops.transpose(x, axes=(1, 0))
    x.assign_add(gpudl.ops.ones_like(x))
    assert card_of(y) == card_of(x) == 1
    assert cuda.runtime.getDevice() == 0
    np.testing.assert_array_equal(y.numpy(), [[7, 9]])
    np.testing.assert_array_equal(x.numpy(), [[2, 3]])


def test_tensors_of_two_cards_do_not_mix(meter: Meter) -> None:
    backend.use("cupy")
    here = gpudl.Variable([1.0])
    with gpudl.device("gpu:1"):
        there = gpudl.Variable([2.0])
        made = model()
    sentence = (
        "add got arrays on two devices (GPU 0 (strict double), CuPy 14.2.0; GPU 1 (strict double), CuPy 14.2.0). "
        "Convert one: gpudl.convert_to_tensor(x.numpy()) puts it on the current backend."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        here + there
    with pytest.raises(TypeError, match="got arrays on two devices"):
        made.predict(data()[0], verbose=0)
    both = here + gpudl.convert_to_tensor(there.numpy())
    np.testing.assert_array_equal(both.numpy(), [3])


def test_arrays_of_another_card_are_data(meter: Meter) -> None:
    x, _ = data()
    backend.use("cupy")
    on_card_0 = backend.current().asarray(x)
    with gpudl.device("gpu:1") as on:
        made = model()
        expected = made.predict(x, verbose=0)
        np.testing.assert_array_equal(made.predict(on_card_0, verbose=0), expected)
        assert card_of(gpudl.convert_to_tensor(on_card_0)) == 1
        assert card_of(gpudl.Variable(on_card_0)) == 1
        copy = on.asarray(on_card_0)
        assert on.owns(copy)
        assert not on.owns(on_card_0)
        assert on.asarray(copy) is copy


def test_a_thread_has_its_own_device(meter: Meter) -> None:
    backend.use("cupy")
    found: dict[str, Any] = {}
    both, seeds = threading.Barrier(2, timeout=30), threading.Lock()

    def work(name: str) -> None:
        with gpudl.device(name):
            with seeds:  # of the process
                made = model(dropout=0)
            both.wait()
            found[name] = trained(made, shuffle=False)
            both.wait()
        found[f"after {name}"] = backend.current().index, cuda.runtime.getDevice()

    with gpudl.device("gpu:1"):
        threads = [threading.Thread(target=work, args=(name,)) for name in ("gpu:1", "cpu")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found["after gpu:1"] == found["after cpu"] == (0, 0), "a scope is its thread's"
    for one, other in zip(found["gpu:1"], found["cpu"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_choice_for_the_process_holds_in_new_threads(meter: Meter) -> None:
    cuda.Device(1).use()
    assert backend.use("cupy").index == 1, "CuPy's current card"
    found = []

    def work() -> None:
        found.append((backend.current().index, cuda.runtime.getDevice(), card_of(gpudl.convert_to_tensor([1.0]))))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(1, 1, 1)]


@pytest.mark.parametrize("name", ["tpu", "gpu:", "gpu:x", "gpu:-1", "cpu:1", "", 0, None])
def test_a_name_that_is_none(name: Any, meter: Meter) -> None:
    sentence = f'device expected "cpu", "gpu" or a GPU such as "gpu:1", got {name!r}. Here are cpu, gpu:0, gpu:1.'
    with pytest.raises(BackendError, match=f"^{re.escape(sentence)}$"), gpudl.device(name):
        pytest.fail("there is no such device")
    assert cuda.runtime.getDevice() == 0


def test_a_card_that_is_not_there(meter: Meter) -> None:
    with (
        pytest.raises(BackendError, match=r"^There is no GPU 2: there are gpu:0, gpu:1\.$"),
        gpudl.device("gpu:2"),
    ):
        pytest.fail("there is no such device")
    machine.cards = 1
    with pytest.raises(BackendError, match=r"^There is no GPU 1: there is gpu:0\.$"), gpudl.device("gpu:1"):
        pytest.fail("there is no such device")


def test_the_list_of_devices(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpudl.config.list_devices() == ["cpu", "gpu:0", "gpu:1"]

    def fail() -> int:
        raise cuda.runtime.CUDARuntimeError("cudaErrorInsufficientDriver")

    monkeypatch.setattr(cuda.runtime, "getDeviceCount", fail)
    assert gpudl.config.list_devices() == ["cpu"]
    with pytest.raises(BackendError, match=r"got 'tpu'\. Here is cpu\."), gpudl.device("tpu"):
        pytest.fail("there is no such device")
