"""A card without room: what is said, what would fit, and that nothing has changed, on the strict double of CuPy."""

from __future__ import annotations

import gc
import re
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from strict_cupy import Meter, installed, machine

import gpudl
from gpudl import backend, layers
from gpudl.backend.numpy_backend import NumpyBackend
from gpudl.engine.plan import plan_cache
from gpudl.engine.plan.footprint import largest
from gpudl.engine.state import reference_only

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")

WIDTH, BATCH = 64, 16


@pytest.fixture
def meter() -> Iterator[Meter]:
    with installed() as meter:
        backend.use("cupy")
        yield meter


def model() -> gpudl.Sequential:
    gpudl.utils.set_random_seed(1)
    hidden = [layers.Dense(WIDTH, activation="tanh") for _ in range(3)]
    made = gpudl.Sequential([layers.Dense(WIDTH, activation="tanh", input_shape=(8,)), *hidden, layers.Dense(1)])
    made.compile(optimizer="adam", loss="mse")
    return made


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((samples, 8), dtype=np.float32), rng.random((samples, 1), dtype=np.float32)


def leave(nbytes: int) -> None:
    """Let the card have only so many bytes free, and no plans that a step could have the memory of."""
    plan_cache.drop(backend.current())
    gc.collect()
    machine.room = machine.used(0) + nbytes


def said(error: pytest.ExceptionInfo[gpudl.OutOfMemoryError], pattern: str) -> tuple[float, ...]:
    match = re.search(pattern, str(error.value))
    assert match, str(error.value)
    return tuple(float(number.replace(",", "")) for number in match.groups())


STEP = (
    r"^a step does not fit into the memory of GPU 0 \(strict double\), CuPy 14\.2\.0\. With a batch of (\d+) it needs "
    r"([\d.]+) MiB \(([\d.]+) MiB for intermediate values, ([\d.]+) MiB for inputs, ([\d.]+) MiB for results, "
    r"([\d.]+) MiB of scratch memory\) "
    r"in addition to ([\d.]+) MiB of weights and optimizer state, and ([\d.]+) MiB are free\. "
)


def test_a_step_that_does_not_fit_names_a_batch_that_does(meter: Meter) -> None:
    samples = 2048
    made, (x, y) = model(), data(samples)
    made.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)
    before = [w.copy() for w in made.get_weights()]
    on_device = backend.current().asarray(x), backend.current().asarray(y)
    leave(1 << 18)
    with pytest.raises(gpudl.OutOfMemoryError) as error:
        made.fit(*on_device, batch_size=samples, verbose=0)
    batch, needed, arena, inputs, results, scratch, held, free, fits = said(
        error, STEP + r"A batch of about (\d+) would fit\.$"
    )
    assert batch == samples
    assert needed > free > 0.1
    assert needed == pytest.approx(arena + inputs + results + scratch, abs=0.2)
    parameters = made.count_params() * 4 / 2**20
    assert 3 * parameters <= held < 6 * parameters, "weights, gradients and Adam's two slots"
    for old, new in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    del error
    leave(1 << 18)
    whole = samples - samples % int(fits)  # a last, smaller batch has a plan of its own
    made.fit(*(part[:whole] for part in on_device), batch_size=int(fits), verbose=0)
    with pytest.raises(gpudl.OutOfMemoryError, match="would fit"):
        made.fit(*on_device, batch_size=int(1.5 * fits), verbose=0)


def test_after_freeing_a_training_goes_on_as_if_nothing_had_been(meter: Meter) -> None:
    x, y = data(512)
    results = []
    for fails in (False, True):
        made = model()
        made.fit(x, y, batch_size=128, verbose=0, shuffle=False)
        if fails:
            leave(1 << 16)
            with pytest.raises(MemoryError):
                made.fit(x, y, batch_size=512, verbose=0, shuffle=False)
            machine.room = 2**33
        made.fit(x, y, batch_size=512, verbose=0, shuffle=False)
        results.append(made.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_not_even_one_sample(meter: Meter) -> None:
    made, (x, _) = model(), data(8)
    made.predict(x, verbose=0)
    leave(600)
    with pytest.raises(gpudl.OutOfMemoryError) as error:
        made.predict_on_batch(x[:1])
    said(error, STEP + r"Not even one sample would fit: use a smaller model, or free unneeded objects")


def test_a_step_without_a_batch_says_what_it_asked_for(meter: Meter) -> None:
    step = gpudl.traced(gpudl.ops.matmul)
    x, y = gpudl.convert_to_tensor(np.ones((500, 1))), gpudl.convert_to_tensor(np.ones((1, 500)))
    leave(100_000)
    with pytest.raises(gpudl.OutOfMemoryError, match=r"^an array \[.*\] of .* does not fit into the memory of GPU 0"):
        step(x, y)


def test_eager_code(meter: Meter) -> None:
    x = gpudl.Variable(np.ones((500, 1), np.float32))
    leave(10_000)
    sentence = (
        r"^an array \[500, 500\] of float32 does not fit into the memory of GPU 0, of which 0\.0 MiB are free "
        r"\(Out of memory allocating 1,000,000 bytes \(allocated so far: [\d,]+ bytes\)\)\. Use a smaller batch, or "
        r"free unneeded objects \(del, gc\.collect\(\)\)\.$"
    )
    with pytest.raises(gpudl.OutOfMemoryError, match=sentence):
        x * gpudl.ops.reshape(x, (1, 500))
    with pytest.raises(MemoryError):
        x.assign_add(gpudl.convert_to_tensor(np.ones((500, 500), np.float32))[:, :1])
    np.testing.assert_array_equal(x.numpy(), np.ones((500, 1)))
    machine.room = 2**33
    assert (x * 2).numpy().sum() == 1000


def test_what_a_reference_takes_for_itself(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    x = gpudl.convert_to_tensor(np.ones(4, np.float32))
    op = gpudl.engine.op.registry["tanh"]

    def greedy(xp: Any, out: Any, x: Any) -> None:
        xp.empty(2**34, np.uint8)

    monkeypatch.setattr(op, "forward", greedy)
    with reference_only():
        with pytest.raises(gpudl.OutOfMemoryError, match=r"^what tanh needs does not fit into the memory of GPU 0"):
            gpudl.ops.tanh(x)
        with pytest.raises(gpudl.OutOfMemoryError, match=r"^the scratch memory of kernels does not fit"):
            gpudl.traced(gpudl.ops.tanh)(x)


def test_data_that_do_not_fit(meter: Meter) -> None:
    on = backend.current()
    leave(1000)
    with pytest.raises(gpudl.OutOfMemoryError, match=r"^a copy of an array \[1000\] of float32 does not fit into"):
        on.asarray(np.ones(1000, np.float32))
    assert not on.holds(1000)


def test_recording_takes_no_memory_for_what_the_plan_computes(meter: Meter) -> None:
    x = gpudl.convert_to_tensor(np.ones((1000, 1), np.float32))

    def step(x: Any) -> Any:
        for _ in range(50):
            x = gpudl.ops.tanh(x)
        return x

    leave(8 * x.data.nbytes)
    np.testing.assert_allclose(gpudl.traced(step)(x).numpy(), step(x).numpy())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let NumPy have only so many bytes free at a time; an array larger than that is refused."""
    room = [1 << 62]
    empty = np.empty

    def limited(shape: Any, dtype: Any = float, *args: Any, **kwargs: Any) -> np.ndarray:
        if np.prod(shape, dtype=np.int64) * np.dtype(dtype).itemsize > room[0]:
            raise MemoryError(f"Unable to allocate an array with shape {shape}")
        return empty(shape, dtype, *args, **kwargs)

    monkeypatch.setattr(np, "empty", limited)
    monkeypatch.setattr(NumpyBackend, "free_bytes", lambda self: room[0])
    return room


class TestOnTheCpu:
    def test_a_step_that_does_not_fit_names_a_batch_that_does(self, small: list[int]) -> None:
        net, (x, y) = model(), data(4096)
        net.fit(x[:16], y[:16], batch_size=16, verbose=0)
        before = net.get_weights()
        small[0] = 1 << 20
        with pytest.raises(gpudl.OutOfMemoryError) as error:
            net.fit(x, y, batch_size=4096, verbose=0)
        assert str(error.value).startswith(f"a step does not fit into the memory of {backend.current().describe()}. ")
        batch, total, *_, free = said(error, STEP[STEP.index(r" With a batch") :])
        assert (batch, free) == (4096, 1.0)
        assert total > 1
        (fits,) = said(error, r"A batch of about (\d+) would fit\.$")
        assert 16 < fits < 4096
        assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))
        net.fit(x, y, batch_size=int(fits), verbose=0)

    def test_eager_code(self, small: list[int]) -> None:
        small[0] = 1 << 16
        with pytest.raises(
            gpudl.OutOfMemoryError, match=r"^an array \[300, 300\] of float32 does not fit into the mem"
        ):
            gpudl.ops.add(np.ones((300, 1), np.float32), np.ones((1, 300), np.float32))

    def test_data_that_cannot_be_copied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Large(list):  # type: ignore[type-arg]
            def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
                raise MemoryError("Unable to allocate 9 TiB")

        with pytest.raises(
            gpudl.OutOfMemoryError, match=r"^a copy of the data does not fit into the memory of this co"
        ):
            model().predict(Large([[1.0]]), verbose=0)

    def test_an_error_that_is_a_sentence_already_stays(self) -> None:
        known = gpudl.OutOfMemoryError("no room")
        with pytest.raises(gpudl.OutOfMemoryError) as error:
            backend.get("numpy").out_of_memory(known, "an array")
        assert error.value is known


@pytest.mark.parametrize("most", [0, 1, 2, 37, 63])
def test_the_largest_batch_is_found(most: int) -> None:
    asked: list[int] = []

    def fits(samples: int) -> bool:
        asked.append(samples)
        return samples <= most

    found = largest(fits, 64)
    assert most - max(most // 16, 0) <= found <= most
    assert len(asked) <= 6
