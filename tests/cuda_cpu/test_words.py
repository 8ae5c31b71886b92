"""The emulator itself: barriers, warps, shared memory, both orders, and what it says of a kernel that is wrong."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

import cuda_cpu
from cuda_cpu import LaunchError, build, in_order, same_in_any_order
from cuda_cpu.sanitized import FLAGS, sanitized

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

SOURCE = """
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define ALL 0xffffffffu
#define NUMBER ((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x)

template <class T>
__device__ __forceinline__ T sum_of_block(T value) {
    __shared__ T part[32];
    for (int by = 16; by; by >>= 1) value += __shfl_xor_sync(ALL, value, by);
    __syncthreads();
    if (NUMBER % 32 == 0) part[NUMBER / 32] = value;
    __syncthreads();
    T all = 0;
    for (int i = 0; i < int(blockDim.x * blockDim.y * blockDim.z) / 32; ++i) all += part[i];
    return all;
}
extern "C" __global__ void __launch_bounds__(2 * (256 + 256), 1) sums(int* y, const int* x) {
    y[blockIdx.x] = sum_of_block(x[NUMBER]) + int(sum_of_block(double(x[NUMBER])));
}
extern "C" __global__ void shuffles(unsigned* y, const double* x, double* picked) {
    const unsigned lane = threadIdx.x % 32;
    unsigned* row = y + 8 * threadIdx.x;
    row[0] = __shfl_sync(ALL, lane, 40);
    row[1] = __shfl_up_sync(ALL, lane, 3);
    row[2] = __shfl_down_sync(ALL, lane, 3, 8);
    row[3] = __shfl_xor_sync(ALL, lane, 5);
    row[4] = __ballot_sync(ALL, lane % 3 == 0);
    row[5] = 2 * __any_sync(ALL, lane == 7) + __all_sync(ALL, lane >= 0);
    if (lane % 2) {
        row[6] = __shfl_sync(0xaaaaaaaau, lane, 1);
        row[7] = 0;
    } else {
        row[6] = __shfl_sync(0x55555555u, lane, lane + 1);  // of a lane that does not take part
        row[7] = __activemask();
        __syncwarp(0x55555555u);
    }
    row[7] += __syncthreads_count(lane > 20);
    picked[threadIdx.x] = __shfl_sync(ALL, x[threadIdx.x], 31 - lane);
}
extern "C" __global__ void reversed(float* y, const float* x) {
    extern __shared__ __align__(16) float all[];
    __shared__ alignas(16) float fresh[4];
    all[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = all[blockDim.x - 1 - threadIdx.x];
    y[blockDim.x] = fresh[3];
}
extern "C" __global__ void raced(float* y, const float* x) {
    __shared__ float all[64];
    all[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = all[threadIdx.x ^ 1];
}
extern "C" __global__ void some_return(int* y) {
    if (threadIdx.x < 10) return;
    __syncthreads();
    *y = 1;
}
extern "C" __global__ void two_places(int* y) {
    if (threadIdx.x < 10) __syncthreads();
    else __syncthreads();
    *y = 1;
}
extern "C" __global__ __launch_bounds__(sizeof(int) * 8) void wrong_mask(int* y) { *y = __shfl_sync(1u, 3, 0); }
extern "C" __global__ void lane_missing(int* y) { if (threadIdx.x) *y = __shfl_xor_sync(ALL, 3, 1); }
extern "C" __global__ void types(float* y, const __half* h, const __nv_bfloat16* b, unsigned* bits, double wide) {
    const int i = threadIdx.x;
    y[4 * i] = float(h[i]) + float(b[i]);
    y[4 * i + 1] = __half2float(__float2half(1 / 3.f)) + float(__nv_bfloat16(wide));
    y[4 * i + 2] = rsqrtf(4) + __fmaf_rn(2, 3, 4) + max(1, 2) + min(1.5f, 2.5f) + fmaxf(y[0], 0) - fmaxf(y[0], 0);
    y[4 * i + 3] = isnan(__int_as_float(-1)) + isinf(__int_as_float(0x7f800000)) + isfinite(1.0);
    bits[i] = __popc(7) + __clz(1) + __ffs(8) + __umulhi(1u << 31, 6);
    atomicAdd(&bits[blockDim.x], 2u);
    atomicMax(&bits[blockDim.x + 1], bits[i] + i);
    atomicCAS(&bits[blockDim.x + 2], 0u, 9u);
}
extern "C" __global__ void misaligned(float4* y, const float* x) { *y = *(const float4*)(x + 1); }
extern "C" __global__ void beyond(float* y, int i) {
    __shared__ float all[64];
    const float* some = all;
    y[0] = some[i];
}
#define MADE(name, value) extern "C" __global__ void name(int* y) { *y = value; }
MADE(made_by_a_macro, 3)
"""


@pytest.fixture(scope="module", params=[(), ("-DCUDA_CPU_UCONTEXT",)], ids=["own switch", "ucontext"])
def module(request: pytest.FixtureRequest) -> cuda_cpu.Module:
    return build(SOURCE, {}, (*cuda_cpu.SANITIZE, *request.param))


@pytest.mark.parametrize("block", [(32,), (64,), (8, 4), (16, 8, 4), (1024,)])
def test_barriers_and_shuffles_in_a_block_of_any_shape(module: cuda_cpu.Module, block: tuple[int, ...]) -> None:
    x = np.arange(np.prod(block), dtype=np.int32)

    def run() -> list[np.ndarray]:
        y = np.zeros(3, np.int32)
        module.launch("sums", 3, block, y, x)
        return [y]

    np.testing.assert_array_equal(same_in_any_order(run)[0], 2 * x.sum())


def test_words_of_a_warp(module: cuda_cpu.Module) -> None:
    x = np.random.default_rng(0).random(64)

    def run() -> list[np.ndarray]:
        y, picked = np.zeros((64, 8), np.uint32), np.zeros(64)
        module.launch("shuffles", 1, 64, y, x, picked)
        return [y, picked]

    y, picked = same_in_any_order(run)
    lane = np.tile(np.arange(32), 2)
    odd = lane % 2 == 1
    np.testing.assert_array_equal(picked, x.reshape(2, 32)[:, ::-1].ravel())
    np.testing.assert_array_equal(y[:, 0], 8)
    np.testing.assert_array_equal(y[:, 1], np.where(lane < 3, lane, lane - 3))
    np.testing.assert_array_equal(y[:, 2], np.where(lane % 8 + 3 < 8, lane + 3, lane))
    np.testing.assert_array_equal(y[:, 3], lane ^ 5)
    np.testing.assert_array_equal(y[:, 4], sum(1 << i for i in range(0, 32, 3)))
    np.testing.assert_array_equal(y[:, 5], 3)
    np.testing.assert_array_equal(y[:, 6], np.where(odd, 1, 2**32 - 1))
    np.testing.assert_array_equal(y[odd, 7], 22)
    np.testing.assert_array_equal(y[~odd, 7], 21)  # ... and 2**32 - 1


def test_shared_memory_is_full_of_nan_and_as_long_as_asked_for(module: cuda_cpu.Module) -> None:
    x = np.arange(48, dtype=np.float32)
    for _ in range(2):
        y = np.zeros(49, np.float32)
        module.launch("reversed", 2, 48, y, x, shared=4 * 48)
        np.testing.assert_array_equal(y, [*x[::-1], np.nan])


def test_a_missing_barrier_shows(module: cuda_cpu.Module) -> None:
    def run() -> list[np.ndarray]:
        y = np.zeros(64, np.float32)
        module.launch("raced", 1, 64, y, np.ones(64, np.float32))
        return [y]

    with pytest.raises(AssertionError, match="result 0 depends on the order of the threads, first in element 0"):
        same_in_any_order(run)
    with in_order("reverse"):
        assert np.isnan(run()[0]).sum() == 32
    with pytest.raises(ValueError, match="unknown order 'sideways': choose one of forward, reverse"):
        in_order("sideways").__enter__()


RETURNED, FIRST = (
    SOURCE[: SOURCE.index(text)].count("\n") + 1 for text in ("__syncthreads();\n    *y", "__syncthreads();\n    else")
)
BLOCK = "of the 32 threads of block (0, 0, 0)"
WAIT = "wait at __syncthreads in line"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("some_return", f"{BLOCK}, 22 {WAIT} {RETURNED}, 10 have returned"),
        ("two_places", f"{BLOCK}, 10 {WAIT} {FIRST}, 22 {WAIT} {FIRST + 1}, 0 have returned"),
        ("wrong_mask", "lane 1 calls __shfl_sync in line"),
        ("lane_missing", "31 wait at __shfl_xor_sync in line"),
    ],
)
def test_a_barrier_that_not_all_reach(module: cuda_cpu.Module, name: str, sentence: str) -> None:
    for _ in range(2):
        with pytest.raises(LaunchError, match=f"^{name}: .*{re.escape(sentence)}"):
            module.launch(name, 2, 32, np.zeros(1, np.int32))
    y = np.zeros(3, np.int32)
    module.launch("sums", 3, 64, y, np.ones(64, np.int32))
    np.testing.assert_array_equal(y, 128)


def test_a_launch_is_checked(module: cuda_cpu.Module) -> None:
    for name, most in (("types", 1024), ("sums", 1024), ("wrong_mask", 32)):
        assert module.bounds[name] == most
    with pytest.raises(LaunchError, match=r"wrong_mask: a block has at most 32 threads, got \(11, 3, 1\)"):
        module.launch("wrong_mask", 1, (11, 3), np.zeros(1, np.int32))


def test_types_and_functions(module: cuda_cpu.Module) -> None:
    h = np.array([1, 1 / 3, -2], np.float16)
    b = (np.array([1.5, 0.25, -8], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    y, bits = np.zeros((3, 4), np.float32), np.zeros(6, np.uint32)
    module.launch("types", 1, 3, y, h, b, bits, np.float64(1 + 2**-8 + 2**-40))
    np.testing.assert_array_equal(y[:, 0], [2.5, np.float32(h[1]) + 0.25, -10])
    np.testing.assert_array_equal(y[:, 1], np.float32(np.float16(1 / 3)) + np.float32(1 + 2**-7))
    np.testing.assert_array_equal(y[:, 2], 0.5 + 10 + 2 + 1.5)
    np.testing.assert_array_equal(y[:, 3], 3)
    np.testing.assert_array_equal(bits, [41, 41, 41, 6, 43, 9])


def test_a_kernel_may_be_made_by_a_macro(module: cuda_cpu.Module) -> None:
    y = np.zeros(1, np.int32)
    module.launch("made_by_a_macro", 1, 1, y)
    assert y == 3


ROUND = """
#include <cuda_bf16.h>
extern "C" __global__ void rounded(__nv_bfloat16* y, const float* x) { y[threadIdx.x] = __nv_bfloat16(x[threadIdx.x]); }
"""


def test_bfloat16_rounds_to_the_nearest_even() -> None:
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**32, 1024, dtype=np.uint32)
    bits[:4] = 0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x00008001
    x = bits.view(np.float32)
    y = np.zeros(1024, np.uint16)
    build(ROUND, {}, ()).launch("rounded", 1, 1024, y, x)
    low, high = bits >> 16, (bits >> 16) + 1
    rest = bits & 0xFFFF
    nearest = np.where((rest > 0x8000) | ((rest == 0x8000) & (low % 2 == 1)), high, low)
    np.testing.assert_array_equal(y, np.where(np.isnan(x), 0x7FFF, nearest))


@pytest.mark.parametrize(
    ("calls", "fault"),
    [
        ("run('sums', np.zeros(1, 'i'), np.zeros(64, 'i')); run('reversed', np.zeros(65, 'f'), x, shared=256)", ""),
        ("run('misaligned', np.zeros(4, 'f'), x)", "misaligned address"),
        ("run('reversed', np.zeros(65, 'f'), x, shared=252)", "heap-buffer-overflow"),
        ("run('beyond', np.zeros(1, 'f'), np.int32(64))", "global-buffer-overflow"),
    ],
)
def test_sanitizers_see_the_kernel(calls: str, fault: str) -> None:
    cuda_cpu.compiled(SOURCE, {}, FLAGS)
    done = sanitized(
        "import numpy as np\n"
        "from cuda_cpu import build, test_words\n"
        "module = build(test_words.SOURCE, {})\n"
        "x = np.zeros(64, 'f')\n"
        "def run(name, *args, shared=0): module.launch(name, 1, 64, *args, shared=shared)\n" + calls
    )
    assert (done.returncode != 0) == bool(fault), done.stderr
    assert fault in done.stderr
