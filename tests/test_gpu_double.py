"""The CuPy backend with no GPU: whole trainings on the strict double, and every way in which a GPU is not usable."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cuda_cpu import optimized
from strict_cupy import DevArray, Meter, installed

import gpudl
from gpudl import backend, layers
from gpudl.backend import BackendError
from gpudl.cli import network

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")

SAMPLES, BATCH = 10, 4  # three steps a pass, the last one smaller
# One rounding error in each number at each of six steps in each of eight layers.
ROUNDING = 6 * 8 * np.finfo(np.float32).eps
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _optimized() -> Iterator[None]:
    with optimized():
        yield


@pytest.fixture
def meter() -> Iterator[Meter]:
    with installed() as meter:
        yield meter


def regularized() -> gpudl.Sequential:
    """Return a network of what the tutorials' networks lack, with an optimizer that does not amplify rounding."""
    model = gpudl.Sequential(
        [
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", input_shape=(28, 28, 1)),
            layers.BatchNormalization(),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.3, seed=3),
            layers.Dense(16, activation="tanh", kernel_regularizer="l2"),
            layers.Dropout(0.5, seed=4),
            layers.Dense(10),
        ]
    )
    loss = gpudl.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=gpudl.optimizers.SGD(0.05, momentum=0.9), loss=loss, metrics=["accuracy"])
    return model


MODELS: dict[str, Callable[[], gpudl.Sequential]] = {
    "mnist-mlp": lambda: network("mnist-mlp"),
    "mnist-cnn": lambda: network("mnist-cnn"),
    "regularized": regularized,
}


def seeded(name: str, *, eagerly: bool = False) -> gpudl.Sequential:
    gpudl.utils.set_random_seed(1)
    model = MODELS[name]()
    model.run_eagerly = eagerly
    return model


def data(name: str) -> Data:
    rng = np.random.default_rng(0)
    shape = (28 * 28,) if name == "mnist-mlp" else (28, 28, 1)
    x = rng.random((SAMPLES, *shape), dtype=np.float32)
    return x, np.eye(10, dtype=np.float32)[rng.integers(10, size=SAMPLES)]


def flat_weights(model: gpudl.Sequential) -> np.ndarray:
    return np.concatenate([w.reshape(-1) for w in model.get_weights()])


def trained(name: str, *, eagerly: bool = False) -> dict[str, Any]:
    """Return all that a short training leaves behind, as host arrays."""
    model, (x, y) = seeded(name, eagerly=eagerly), data(name)
    history = model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, validation_data=(x, y))
    return {
        "weights": flat_weights(model),
        "history": np.array([history.history[key] for key in sorted(history.history)]),
        "evaluated": np.array(model.evaluate(x, y, verbose=0)),
        "predicted": model.predict(x, batch_size=BATCH, verbose=0),
    }


@pytest.mark.parametrize("name", MODELS)
def test_a_training_gives_what_numpy_gives(name: str) -> None:
    expected = trained(name)
    with installed():
        backend.use("cupy")
        replayed, eager = trained(name), trained(name, eagerly=True)
    for what, values in replayed.items():
        np.testing.assert_array_equal(values, eager[what], err_msg=what)
        assert np.linalg.norm(values - expected[what]) < ROUNDING * np.linalg.norm(expected[what]), what


def test_weights_go_to_the_device_and_come_back(meter: Meter) -> None:
    backend.use("cupy")
    model = seeded("mnist-mlp")
    weights = [np.full_like(w, i) for i, w in enumerate(model.get_weights())]
    model.set_weights(weights)
    assert all(isinstance(v.data, DevArray) for v in model.weights)
    for now, wanted in zip(model.get_weights(), weights, strict=True):
        assert isinstance(now, np.ndarray)
        np.testing.assert_array_equal(now, wanted)


class Costs(gpudl.callbacks.Callback):
    """Notes what each step and each epoch costs."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.steps: list[tuple[int, ...]] = []
        self.epochs: list[tuple[int, ...]] = []

    def _taken(self) -> tuple[int, ...]:
        return self.meter.host_to_device, self.meter.device_to_host, self.meter.synchronizations

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = self._taken()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._step = self._taken()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append(tuple(np.subtract(self._taken(), self._step)))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(tuple(np.subtract(self._taken(), self._epoch)))


@pytest.mark.parametrize(
    ("name", "eagerly"), [*((name, False) for name in MODELS), ("mnist-mlp", True), ("regularized", True)]
)
def test_a_step_transfers_nothing(name: str, eagerly: bool, meter: Meter) -> None:
    backend.use("cupy")
    model, (x, y) = seeded(name, eagerly=eagerly), data(name)
    costs = Costs(meter)
    model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0, callbacks=[costs])
    assert set(costs.steps[3:]) == {(0, 0, 0)}
    # In come the indices of all batches; out go the loss and the accuracy.
    assert costs.epochs[1:] == [(1, 2, 2)] * 2
    meter.reset()
    model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0)
    assert meter.host_to_device == 2 + 2, "x and y once, and the indices of each epoch"
    on_device = backend.current().asarray(x), backend.current().asarray(y)
    meter.reset()
    model.fit(*on_device, batch_size=BATCH, epochs=2, verbose=0, shuffle=False)
    assert meter.host_to_device == 0


@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_one_launch_and_so_are_sixteen_that_nobody_watches(name: str, meter: Meter) -> None:
    backend.use("cupy")
    model, (x, y) = seeded(name), data(name)
    x, y = (np.tile(a, (2, *[1] * (a.ndim - 1))) for a in (x, y))  # 20 samples: 20 steps of 1
    watched: list[int] = []

    class Launches(gpudl.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            watched.append(meter.launches)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            watched[-1] = meter.launches - watched[-1]

    class Watches(Launches):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    for callback in (Launches(), Watches()):
        model.fit(x, y, batch_size=1, epochs=2, verbose=0, callbacks=[callback])
    # Beside the steps, an epoch resets three variables of the metrics, brings the order and moves the cursor.
    around = watched[3] - 20
    assert around < 16
    assert watched[1] == 1 + 4 + around


def test_both_backends_side_by_side() -> None:
    x, y = data("regularized")
    options: dict[str, Any] = {"batch_size": BATCH, "verbose": 0, "shuffle": False}
    alone = seeded("regularized")
    with installed():
        models = {}
        for name in ("numpy", "cupy"):
            with backend.scope(name) as on:
                assert backend.current() is on
                models[name] = seeded("regularized")
        for _ in range(2):
            for name, model in models.items():
                with backend.scope(name):
                    model.fit(x, y, **options)
        on_cpu, on_gpu = (flat_weights(model) for model in models.values())
        assert isinstance(models["numpy"].weights[0].data, np.ndarray)
        assert isinstance(models["cupy"].weights[0].data, DevArray)
    assert np.linalg.norm(on_cpu - on_gpu) < ROUNDING * np.linalg.norm(on_cpu)
    alone.fit(x, y, epochs=2, **options)
    np.testing.assert_array_equal(flat_weights(alone), on_cpu)


def test_tensors_of_two_backends_do_not_mix(meter: Meter) -> None:
    with backend.scope("numpy"):
        on_cpu = gpudl.convert_to_tensor([1.0, 2.0])
        model = seeded("mnist-mlp")
    backend.use("cupy")
    on_gpu = gpudl.Variable([3.0, 4.0])
    devices = r"got arrays on two devices \(.*CuPy.*NumPy.*\)\. Convert one: gpudl\.convert_to_tensor\(x\.numpy\(\)\)"
    with pytest.raises(TypeError, match=f"^add {devices} puts it on the current backend"):
        on_gpu + on_cpu
    with pytest.raises(TypeError, match=f"^assign_ {devices}"):
        on_gpu.assign(on_cpu)
    with pytest.raises(TypeError, match=r"got arrays on two devices"):
        model.predict(data("mnist-mlp")[0], verbose=0)
    np.testing.assert_array_equal((on_gpu + gpudl.convert_to_tensor(on_cpu.numpy())).numpy(), [4, 6])
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(on_gpu.data)


def test_constants_of_an_earlier_gpu_are_not_used_again() -> None:
    for _ in range(2):
        with installed() as meter:
            backend.use("cupy")
            x = gpudl.Variable([1.0])
            meter.reset()
            x * 12345.0
            x * 12345.0
            assert meter.host_to_device == 1


def test_arrays_of_the_gpu_are_data_for_the_cpu(meter: Meter) -> None:
    x, y = data("mnist-mlp")
    gpu = backend.get("cupy")
    with backend.scope("numpy"):
        model = seeded("mnist-mlp")
        plain, from_gpu = model.predict(x, verbose=0), model.predict(gpu.asarray(x), verbose=0)
        assert model.evaluate(gpu.asarray(x), gpu.asarray(y), verbose=0) == model.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(plain, from_gpu)


@pytest.mark.parametrize(
    ("value", "expected"), [("numpy", "numpy"), ("cupy", "cupy"), ("auto", "cupy"), (None, "cupy")]
)
def test_the_environment_chooses(
    value: str | None, expected: str, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv("GPUDL_BACKEND", raising=False)
    else:
        monkeypatch.setenv("GPUDL_BACKEND", value)
    assert backend.current().name == gpudl.config.backend() == expected
    monkeypatch.setenv("GPUDL_BACKEND", "numpy")
    assert backend.current().name == expected, "what was chosen once stays"


def test_an_unknown_name_is_an_error(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    for choose in (backend.use, gpudl.config.set_backend):
        with pytest.raises(BackendError, match=r"unknown backend 'cuda': choose one of numpy, cupy, auto\."):
            choose("cuda")
    monkeypatch.setenv("GPUDL_BACKEND", "gpu")
    with pytest.raises(BackendError, match="unknown backend 'gpu'"):
        backend.current()


def test_a_scope_ends_also_by_an_exception(meter: Meter) -> None:
    backend.use("numpy")
    with backend.scope("cupy") as on:
        assert on.describe() == "GPU 0 (strict double), CuPy 14.2.0"
        assert isinstance(gpudl.convert_to_tensor([1.0]).data, DevArray)
    assert backend.current().name == "numpy"
    with pytest.raises(ZeroDivisionError), backend.scope("cupy"):
        raise ZeroDivisionError
    assert backend.current().name == "numpy"
    with pytest.raises(BackendError), backend.scope("cuda"):
        pytest.fail("an unknown backend has no scope")
    assert backend.current().name == "numpy"


def test_waiting_for_the_device(meter: Meter) -> None:
    on = backend.use("cupy")
    meter.reset()
    on.synchronize()
    assert meter.synchronizations == 1
    host = on.to_host(on.asarray(np.arange(3)))
    np.testing.assert_array_equal(host, [0, 1, 2])
