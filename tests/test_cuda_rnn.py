"""LSTM and GRU in CUDA C++ beyond the op contract: shapes, how rows are shared out, masks, launches; on the double."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contract_cases import Sample
from contract_cases.check import assert_same, dirty, tensors
from contract_cases.rnn import gru_make, lstm_make
from contract_cases.rnn_grad import gru_grad_make, lstm_grad_make
from cuda_cpu import in_order
from cuda_kernels import Placed, meter
from gpudl.kernels import registry as kernels
from gpudl.kernels.cuda import gemm, rnn_steps
from reduction_runs import Arrays, outs_of, run
from strict_cupy import Meter, capture

from gpudl.engine.op import registry

__all__ = ["meter"]
pytestmark = pytest.mark.usefixtures("meter")
MAKERS: dict[str, Callable[..., Sample]] = {
    "lstm": lstm_make,
    "gru": gru_make,
    "lstm_grad": lstm_grad_make,
    "gru_grad": gru_grad_make,
}
each_op = pytest.mark.parametrize("name", MAKERS)
# Batch, time, units: more terms than shared memory holds, several tiles of rows and of units, and less than one.
SHAPES = [(3, 2, 308), (41, 3, 20), (2, 4, 3)]


def sample_of(name: str, *setting: Any) -> tuple[Arrays, dict[str, Any]]:
    sample = MAKERS[name](np.random.default_rng(3), *setting)
    return sample.cast("float32"), sample.static


def with_rows(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a thread have as many rows as is best for a number of multiprocessors."""
    monkeypatch.setattr(rnn_steps, "card", lambda: replace(gemm.card(), multiprocessors=processors))


def exact(name: str, inputs: Arrays, static: dict[str, Any]) -> Arrays:
    """Return what the reference makes of the inputs in float64."""
    wide = tuple(a.astype(np.float64) if a.dtype == np.float32 else a for a in inputs)
    outs = dirty(registry[name].specs(tensors(wide), static))
    registry[name].forward(np, *outs, *wide, **static)
    return outs


@pytest.mark.parametrize("shape", SHAPES)
@each_op
def test_every_way_to_share_out_the_rows_gives_the_same_bits(
    name: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, static = sample_of(name, *shape, 0.3, True)
    outs, results = outs_of(name, inputs, static), []
    # From few rows in a thread to many; then at addresses that no 16 bytes can be loaded from.
    for processors, shift, order in ((132, 0, "forward"), (1, 0, "reverse"), (132, 1, "forward")):
        with_rows(processors, monkeypatch)
        with in_order(order):
            got = run(name, outs, inputs, static, shift)
        assert got is not None
        results.append(got)
    for other in results[1:]:
        assert_same(other, results[0])
    for mine, value in zip(results[0], exact(name, inputs, static), strict=True):
        np.testing.assert_allclose(mine, value, rtol=1e-4, atol=2e-5 * (1 + np.abs(value).max()))


def test_few_rows_share_a_thread_where_there_are_few_blocks() -> None:
    steps = rnn_steps.Steps("rnn.cu", "lstm_step", 64, 100, 128, 128)
    assert (steps._part(4), steps._blocks(2)) == (2, 128)
    assert replace(steps, batch=1024, units=512)._part(4) == 8
    assert replace(steps, batch=1024, units=512)._part(8) == 2


@each_op
def test_what_masked_steps_hold_does_not_matter(name: str) -> None:
    inputs, static = sample_of(name, 9, 4, 5, 0.5)
    counts = next(a for a in inputs if a.dtype == bool)
    assert not counts.all()
    results = []
    for filler in (0.0, np.nan):
        # Of a step that is masked, the projected inputs mean nothing, nor do the gates.
        hidden = np.where(counts[..., None], np.float32(0), np.float32(filler))
        given = tuple(a + hidden if a.shape[1:] in ((4, 15), (4, 20)) else a for a in inputs)
        got = run(name, outs_of(name, inputs, static), given, static)
        assert got is not None
        results.append(got if name.endswith("grad") else got[: -2 if name == "lstm" else -1])
    assert_same(*results)
    if name.endswith("grad"):
        assert not results[0][0][~counts].any()


@pytest.mark.parametrize("time", [1, 6])
@each_op
def test_a_step_is_one_launch(name: str, time: int, meter: Meter) -> None:
    inputs, static = sample_of(name, 3, time, 4, 0.3, True)
    outs = outs_of(name, inputs, static)
    expected = run(name, outs, inputs, static)
    assert expected is not None
    placed = [Placed(a) for a in (*dirty(registry[name].specs(tensors(inputs), static)), *inputs)]
    arrays = tuple(p.array for p in placed)
    kernel = kernels.find(name, "cuda", arrays, static)
    assert kernel is not None
    meter.reset()
    with capture() as graph:
        kernel(*arrays, **static)
    # The kernel is transposed first; at last comes the gradient of the first state, and the sum for the bias.
    assert len(graph.nodes) == time + (2 if name.endswith("grad") else 1)
    assert (meter.host_to_device, meter.synchronizations) == (0, 0)
    graph.launch()
    assert_same(tuple(p.value() for p in placed[: len(outs)]), expected)


@each_op
def test_what_a_kernel_does_not_take(name: str) -> None:
    inputs, static = sample_of(name, 2, 2, 3)
    outs = outs_of(name, inputs, static)
    assert run(name, outs, inputs, static) is not None
    halves = [tuple(a.astype(np.float16) if a.dtype == np.float32 else a for a in each) for each in (outs, inputs)]
    assert run(name, *halves, static) is None
    assert run(name, outs, (inputs[0].astype(np.float64), *inputs[1:]), static) is None
    empty, static = sample_of(name, 0, 2, 3)
    assert run(name, outs_of(name, empty, static), empty, static) is None
