"""Kernels on the GPU against the cases of the op contract: run on a strict double of CuPy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS, Sample
from contract_cases.check import assert_close, assert_same, dirty, tensors
from gpudl.kernels import registry as kernels
from strict_cupy import Meter, capture, installed

from gpudl.engine.op import registry

Arrays = tuple[np.ndarray, ...]
DRAWS = 6
GUARD = 16  # bytes around an array that must stay as they are

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")


@pytest.fixture
def meter() -> Iterator[Meter]:
    """Let CuPy be the double, and count what it is asked for."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    with installed() as meter:
        yield meter


class Placed:
    """A copy of a host array on the double's device, at a multiple of 16 bytes or `shift` elements after one."""

    def __init__(self, array: np.ndarray, shift: int = 0) -> None:
        import cupy

        room = cupy.asarray(np.full(array.nbytes + 5 * GUARD, 255, np.uint8))
        start = GUARD + -room.data.ptr % GUARD + shift * array.dtype.itemsize
        self._host = room._host
        self._inside = slice(start, start + array.nbytes)
        self.array = room[self._inside].view(array.dtype).reshape(array.shape)
        self._host[self._inside] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def value(self) -> np.ndarray:
        """Return a copy of the array; fails where something around it was written."""
        around = np.delete(self._host, np.arange(self._inside.start, self._inside.stop))
        assert (around == 255).all(), "written outside of the array"
        result: np.ndarray = self.array.get()
        return result


def run(kernel: Any, outs: Arrays, inputs: Arrays, static: dict[str, Any], writes: int = 0, shift: int = 0) -> Arrays:
    """Return what a kernel computes, with `outs` as they are before; its other inputs must stay as they are."""
    placed_outs = [Placed(a, shift) for a in outs]
    placed = [Placed(a, shift) for a in inputs]
    kernel(*(p.array for p in (*placed_outs, *placed)), **static)
    after = tuple(p.value() for p in placed)
    assert_same(after[writes:], inputs[writes:])
    return (*(p.value() for p in placed_outs), *after[:writes])


def samples(op: str, draws: int = DRAWS) -> Iterator[tuple[Sample, str]]:
    """Yield the chosen and some drawn samples of an op's contract, in each of its dtypes."""
    contract = CONTRACTS[op]
    for sample in (*contract.samples, *contract.drawn(draws)):
        for dtype in contract.dtypes:
            yield sample, dtype


def agrees(op: str, name: str | None = None, draws: int = DRAWS, shifts: Sequence[int] = (0, 1)) -> int:
    """Compare the kernels of an op with its oracle wherever they support the arrays; return how many samples."""
    count, rule = 0, registry[op]
    for sample, dtype in samples(op, draws):
        inputs = sample.cast(dtype)
        outs = dirty(rule.specs(tensors(inputs), sample.static))
        placed = [Placed(a).array for a in (*outs, *inputs)]
        kernel = kernels.find(op, "cuda", tuple(placed), sample.static)
        if kernel is None or (name is not None and getattr(kernel, "__name__", None) != name):
            continue
        count += 1
        results = [run(kernel, outs, inputs, sample.static, rule.writes, shift) for shift in shifts]
        assert_close(results[0], CONTRACTS[op], inputs, sample, dtype)
        for other in results[1:]:
            assert_same(other, results[0])
    return count


def one_launch_and_no_transfer(meter: Meter, op: str) -> None:
    """Fail where a kernel of an op makes more than one launch, copies, waits or cannot be captured."""
    for sample, dtype in samples(op, 0):
        inputs = sample.cast(dtype)
        outs = dirty(registry[op].specs(tensors(inputs), sample.static))
        placed = [Placed(a) for a in (*outs, *inputs)]
        arrays = tuple(p.array for p in placed)
        kernel = kernels.find(op, "cuda", arrays, sample.static)
        if kernel is None or not arrays[0].size:
            continue
        expected = run(kernel, outs, inputs, sample.static, registry[op].writes)
        meter.reset()
        with capture() as graph:
            kernel(*arrays, **sample.static)
        assert len(graph.nodes) == 1
        assert (meter.host_to_device, meter.synchronizations) == (0, 0)
        graph.launch()
        wrote = tuple(p.value() for p in placed[: len(expected)])
        if outs:
            assert_same(wrote, expected)
        return
    raise AssertionError(f"no sample of {op} is taken")
