"""Kernels on the double: what of CuPy's face they have, and the limits that a card sets."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from strict_cupy import Meter, installed, raw

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")

HOST = np.ones(3, np.float32)
SOURCE = """
extern "C" __global__ void add_up(const float* x, int* total, int n) {
    __shared__ float warps[2];
    float sum = 0;
    const int step = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) sum += x[i] * SCALE;
    for (int by = 16; by; by >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, by);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(total, int(warps[0] + warps[1]));
}
extern "C" __global__ void __launch_bounds__(128) turn(int* x, int n) {
    extern __shared__ int all[];
    for (int i = threadIdx.x; i < n; i += blockDim.x) all[i] = x[i];
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = all[n - 1 - i];
}
"""


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    monkeypatch.setattr(raw.card, "shared", 100 << 10)
    with installed() as meter:
        yield meter


@pytest.fixture
def cupy(meter: Meter) -> Any:
    import cupy

    return cupy


@pytest.fixture
def module(cupy: Any) -> Any:
    return cupy.RawModule(code=SOURCE, options=("--std=c++17", "-DSCALE=2"))


def test_a_kernel_runs_with_barriers_shuffles_and_atomics(cupy: Any, module: Any, meter: Meter) -> None:
    kernel = module.get_function("add_up")
    x, total = cupy.arange(300, dtype=np.float32), cupy.zeros(1, np.int32)
    meter.reset()
    kernel((3,), (64,), (x, total, np.int32(300)))
    assert total.get() == 300 * 299
    assert meter.launches == 1
    for wrong in ((x, total, 300), (x, total, np.int64(300)), (x, total), (HOST, total, np.int32(300))):
        with pytest.raises(TypeError, match=r"Unsupported type|argument 2 of add_up is int32|3 parameters"):
            kernel((3,), (64,), wrong)


def test_more_shared_memory_has_to_be_asked_for(cupy: Any, module: Any) -> None:
    kernel, count = module.get_function("turn"), 24 << 10
    x = cupy.arange(count, dtype=np.int32)
    error = cupy.cuda.runtime.CUDARuntimeError
    with pytest.raises(error, match="98304 bytes of shared memory, max_dynamic_shared_size_bytes is 49152"):
        kernel((1,), (128,), (x, np.int32(count)), shared_mem=4 * count)
    with pytest.raises(error, match="102401 bytes of shared memory, the card has 102400"):
        kernel.max_dynamic_shared_size_bytes = (100 << 10) + 1
    kernel.max_dynamic_shared_size_bytes = 4 * count
    kernel((1,), (128,), (x, np.int32(count)), shared_mem=4 * count)
    np.testing.assert_array_equal(x.get(), np.arange(count)[::-1])


@pytest.mark.parametrize(
    ("grid", "block", "why"),
    [
        ((1,), (1025,), "a block of (1025,), at most (1024, 1024, 64)"),
        ((1,), (8, 4, 65), "a block of (8, 4, 65)"),
        ((1,), (0,), "a block of (0,)"),
        ((0,), (1,), "a grid of (0,)"),
        ((1, 2**16), (1,), "a grid of (1, 65536), at most (2147483647, 65535, 65535)"),
        ((1, 1, 1, 1), (1,), "a grid of (1, 1, 1, 1)"),
        ((1,), (129,), "129 threads in a block of turn, at most 128"),
    ],
)
def test_a_card_has_limits(cupy: Any, module: Any, grid: tuple[int, ...], block: tuple[int, ...], why: str) -> None:
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match=f"INVALID_VALUE.*{re.escape(why)}"):
        module.get_function("turn")(grid, block, (cupy.zeros(1, np.int32), np.int32(1)))


def test_a_test_chooses_the_card(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cupy.cuda.Device().compute_capability == "90"
    monkeypatch.setattr(raw.card, "capability", (7, 5))
    monkeypatch.setattr(raw.card, "processors", 40)
    device = cupy.cuda.Device()
    assert device.compute_capability == "75"
    assert device.attributes["MultiProcessorCount"] == 40
    assert device.attributes["MaxSharedMemoryPerBlockOptin"] == 100 << 10
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    assert (properties["major"], properties["minor"], properties["multiProcessorCount"]) == (7, 5, 40)


def test_a_source_with_a_fault_does_not_compile(cupy: Any, module: Any) -> None:
    with pytest.raises(cupy.cuda.compiler.CompileException, match=r"error.*oops"):
        cupy.RawModule(code='extern "C" __global__ void f() { oops; }').get_function("f")
    with pytest.raises(cupy.cuda.compiler.CompileException, match="knows no option -Ifolder"):
        cupy.RawModule(code="", options=("-Ifolder",))
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="named symbol not found"):
        module.get_function("absent")
