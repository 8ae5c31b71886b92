"""Steps as one CUDA graph, on the strict double of CuPy: what is captured, what is launched, and what if not."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from strict_cupy import Meter, cuda, installed

import gpudl
from gpudl import backend, ops
from gpudl.engine.plan.capture import STEPS_PER_LAUNCH, Outcome, Steps
from gpudl.engine.state import ungraphed

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def meter() -> Iterator[Meter]:
    with installed() as meter:
        backend.use("cupy")
        yield meter


def counting() -> tuple[gpudl.Variable, Any]:
    """Return a variable and a step that adds its input to it, in more than one kernel."""
    total = gpudl.Variable(np.zeros(3, np.float32), trainable=False)

    def step(x: Any) -> Any:
        total.assign_add(ops.tanh(x) * 0 + ops.transpose(ops.reshape(x, (1, 3)), axes=(1, 0))[:, 0])
        return total * 2

    return total, gpudl.traced(step)


def test_a_step_is_one_launch_from_its_second_time_on(meter: Meter) -> None:
    total, step = counting()
    taken = []
    for number in range(1, 5):
        x = gpudl.convert_to_tensor(np.full(3, 10.0**number, np.float32))
        meter.reset()
        result = step.run(x)
        taken.append(meter.launches)
        np.testing.assert_array_equal(result.numpy(), 2 * total.numpy())
    np.testing.assert_array_equal(total.numpy(), [11110] * 3)
    (entry,) = step.entries.values()
    assert taken[0] == 1 + len(entry.plan.calls) > 2  # the input is copied by a launch of its own
    assert taken[2:] == [2, 2]
    assert entry.plan.outcome == Outcome(captured=True)


def test_a_graph_repeats_what_kernels_do_one_by_one(meter: Meter) -> None:
    found = []
    for switch in (ungraphed, warnings.catch_warnings):
        with switch():
            total, step = counting()
            results = [step(np.float32([0.1, -7, k])).numpy() for k in range(4)]
            found.append((total.numpy(), results))
            (entry,) = step.entries.values()
            assert entry.plan.outcome.captured == (switch is not ungraphed)
    np.testing.assert_equal(found[0], found[1])


def test_a_graph_reads_and_writes_no_poisoned_memory(meter: Meter) -> None:
    total, step = counting()
    for k in range(3):
        if k:
            next(iter(step.entries.values())).plan.poison()
        step(np.float32([k, 1, 2]))
    np.testing.assert_array_equal(total.numpy(), [3, 3, 6])


def test_the_memory_of_a_graph_lives_as_long_as_its_plan(meter: Meter) -> None:
    total, step = counting()
    for _ in range(4):
        step(np.ones(3, np.float32))
        gc.collect()  # the double refuses the launch of a graph whose pool is gone
    np.testing.assert_array_equal(total.numpy(), [4, 4, 4])


def test_what_cannot_be_captured_runs_kernel_by_kernel_and_says_so_once(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    total, step = counting()
    step(np.ones(3, np.float32))
    (entry,) = step.entries.values()
    asked = []

    def read() -> None:
        asked.append(1)
        cuda.Device().synchronize()

    entry.plan.calls.append(read)
    refused = (
        r"a recorded step cannot be captured as a CUDA graph\. Its kernels are launched one by one, with the same "
        r"results, which is slower: cudaErrorStreamCaptureUnsupported: .*Device\.synchronize$"
    )
    with pytest.warns(RuntimeWarning, match=refused):
        step(np.ones(3, np.float32))
    assert len(asked) == 2, "tried in the capture, then done"
    step(np.ones(3, np.float32))
    assert len(asked) == 3
    np.testing.assert_array_equal(total.numpy(), [3, 3, 3])
    assert not entry.plan.outcome.captured
    assert "Device.synchronize" in str(entry.plan.outcome.reason)
    assert cuda.get_current_stream() is cuda.Stream.null, "the capture has been ended"


def test_a_graph_that_cannot_be_made_of_what_was_captured_is_done_without(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    total, step = counting()
    step(np.ones(3, np.float32))
    real = cuda.Stream.end_capture

    def end(stream: Any) -> None:
        real(stream)
        raise cuda.runtime.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")

    monkeypatch.setattr(cuda.Stream, "end_capture", end)
    with pytest.warns(RuntimeWarning, match=r"which is slower: cudaErrorMemoryAllocation: out of memory$"):
        step(np.ones(3, np.float32))
    step(np.ones(3, np.float32))
    np.testing.assert_array_equal(total.numpy(), [3, 3, 3])


def test_many_steps_are_one_launch(meter: Meter) -> None:
    on = backend.current()
    x = on.empty((), np.dtype(np.int64))
    x.fill(0)
    outcome = Outcome()
    steps = Steps(on, [lambda: on.xp.add(x, 1, out=x)], outcome)
    meter.reset()
    steps.run(2 * STEPS_PER_LAUNCH + 3)
    assert int(x) == 2 * STEPS_PER_LAUNCH + 3
    assert meter.launches == 2 + 3
    assert outcome.captured
    with ungraphed():
        meter.reset()
        steps.run(STEPS_PER_LAUNCH)
        assert meter.launches == STEPS_PER_LAUNCH


def test_the_cpu_has_no_graphs() -> None:
    with backend.scope("numpy") as on:
        assert not on.captures
        with pytest.raises(backend.CaptureError, match=r"^CPU \(.*\), NumPy .* launches kernels one by one\.$"):
            on.capture([])
