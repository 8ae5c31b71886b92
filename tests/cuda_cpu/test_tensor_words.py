"""The emulated tensor-core words have the layouts that NVIDIA's PTX ISA gives for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest

from cuda_cpu import LaunchError, Module, build

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

SOURCE = """
#define PRODUCT(name, mma)                                                                           \\
    extern "C" __global__ void name(float* d, const unsigned* a, const unsigned* b) {                \\
        const int lane = threadIdx.x;                                                                \\
        float mine[4];                                                                               \\
        for (int i = 0; i < 4; ++i) mine[i] = d[4 * lane + i];                                       \\
        mma(mine, *(const unsigned(*)[4])(a + 4 * lane), *(const unsigned(*)[2])(b + 2 * lane));     \\
        for (int i = 0; i < 4; ++i) d[4 * lane + i] = mine[i];                                       \\
    }
PRODUCT(tf32, mma_m16n8k8_tf32)
PRODUCT(float16, mma_m16n8k16_f16)
PRODUCT(bfloat16, mma_m16n8k16_bf16)

#define LOAD(name, COUNT)                                                                            \\
    extern "C" __global__ void load_##name(unsigned* r, const uint4* rows, int stride, int turned) { \\
        extern __shared__ uint4 tile[];                                                              \\
        for (int i = threadIdx.x; i < 32; i += 32) tile[i * stride] = rows[i];                       \\
        __syncthreads();                                                                             \\
        unsigned mine[COUNT];                                                                        \\
        const void* row = &tile[threadIdx.x % (8 * COUNT) * stride];                                 \\
        if (turned) load_matrix_##name##_trans(mine, row);                                           \\
        else load_matrix_##name(mine, row);                                                          \\
        for (int i = 0; i < COUNT; ++i) r[COUNT * threadIdx.x + i] = mine[i];                        \\
    }
LOAD(x4, 4)
LOAD(x2, 2)

extern "C" __global__ void rounded(unsigned* y, const float* x) { y[threadIdx.x] = to_tf32(x[threadIdx.x]); }

extern "C" __global__ void copies(float* y, const float* x) {
    __shared__ __align__(16) float tile[3][32][4];
    const int t = threadIdx.x;
    copy_async_16(tile[0][t], x + 4 * t, true);
    copy_async_commit();
    copy_async_16(tile[1][t], x + 4 * t, t % 2);
    copy_async_commit();
    for (int i = 0; i < 4; ++i) copy_async_4(&tile[2][t][i], x + 4 * t + i, i != 2);
    float* out = y + 9 * 4 * t;
    for (int i = 0; i < 12; ++i) out[i] = tile[i / 4][t][i % 4];
    copy_async_wait<1>();
    for (int i = 0; i < 12; ++i) out[12 + i] = tile[i / 4][t][i % 4];
    copy_async_commit();
    copy_async_wait<0>();
    for (int i = 0; i < 12; ++i) out[24 + i] = tile[i / 4][t][i % 4];
}
extern "C" __global__ void shifted(const float* x) {
    __shared__ __align__(16) float tile[8];
    copy_async_16(tile + 1, x, true);
}
extern "C" __global__ void shifted_source(const float* x) {
    __shared__ __align__(16) float tile[8];
    copy_async_16(tile, x + 1, true);
}
extern "C" __global__ void not_shared(float* x) { copy_async_16(x, x, true); }
extern "C" __global__ void shifted_row(const float* x) {
    __shared__ __align__(16) float tile[64];
    unsigned r[2];
    load_matrix_x2(r, tile + 1);
}
"""


@pytest.fixture(scope="module")
def module() -> Module:
    return build(SOURCE, {})


Lay = Callable[[int, int, int], tuple[int, int]]


def bfloat16(x: np.ndarray) -> np.ndarray:
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def register(halves: np.ndarray) -> np.ndarray:
    """Return pairs of 16-bit numbers, the last axis, as registers: the first lies in the low half."""
    return halves.view(np.uint16)[..., 0] | halves.view(np.uint16)[..., 1].astype(np.uint32) << 16


def distributed(
    values: np.ndarray, lay: Callable[[int, int, int], tuple[int, int]], shape: tuple[int, int]
) -> np.ndarray:
    """Return (lane, register[, part]): the matrix elements at `lay(lane, register, part)`."""
    registers, parts = shape
    return np.array([[[values[lay(lane, i, p)] for p in range(parts)] for i in range(registers)] for lane in range(32)])


# The tables of the PTX ISA, sections on the fragments of mma.m16n8k8 with .tf32 and of mma.m16n8k16 with .f16 or .bf16.
def a_of_16_bits(lane: int, i: int, part: int) -> tuple[int, int]:
    return lane // 4 + (8 if i in (1, 3) else 0), lane % 4 * 2 + part + (8 if i >= 2 else 0)


def b_of_16_bits(lane: int, i: int, part: int) -> tuple[int, int]:
    return lane % 4 * 2 + part + (8 if i == 1 else 0), lane // 4


def a_of_tf32(lane: int, i: int, part: int) -> tuple[int, int]:
    return lane // 4 + (8 if i in (1, 3) else 0), lane % 4 + (4 if i >= 2 else 0)


def b_of_tf32(lane: int, i: int, part: int) -> tuple[int, int]:
    return lane % 4 + (4 if i == 1 else 0), lane // 4


def of_sums(lane: int, i: int, part: int) -> tuple[int, int]:
    return lane // 4 + (8 if i >= 2 else 0), lane % 4 * 2 + i % 2


@pytest.mark.parametrize("kind", ["tf32", "float16", "bfloat16"])
def test_product(module: Module, kind: str) -> None:
    depth = 8 if kind == "tf32" else 16
    rng = np.random.default_rng(depth)
    a, b, d = (rng.integers(-8, 9, size).astype(np.float32) for size in ((16, depth), (depth, 8), (16, 8)))
    if kind == "tf32":
        noise = rng.integers(0, 2**13, a.shape, dtype=np.uint32)  # of bits that the hardware does not look at
        low = np.where(a != 0, a.view(np.uint32) | noise, 0).astype(np.uint32)
        fragments = distributed(low, a_of_tf32, (4, 1)), distributed(b.view(np.uint32), b_of_tf32, (2, 1))
    else:
        cast = bfloat16 if kind == "bfloat16" else lambda x: x.astype(np.float16)
        fragments = tuple(
            register(distributed(cast(x), lay, (count, 2)))
            for x, lay, count in ((a, a_of_16_bits, 4), (b, b_of_16_bits, 2))
        )
    sums = distributed(d, of_sums, (4, 1)).astype(np.float32)
    module.launch(kind, 1, 32, sums, *(np.ascontiguousarray(f.astype(np.uint32)) for f in fragments))
    np.testing.assert_array_equal(sums, distributed(d + a @ b, of_sums, (4, 1)))


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("count", [2, 4])
def test_load_matrix(module: Module, count: int, turned: int) -> None:
    rows = np.arange(32 * 8, dtype=np.uint16).reshape(4, 8, 8)
    r = np.zeros((32, count), np.uint32)
    module.launch(f"load_x{count}", 1, 32, r, rows, np.int32(3), np.int32(turned), shared=16 * 3 * 32)
    for i in range(count):
        matrix = rows[i].T if turned else rows[i]
        for lane in range(32):
            assert r[lane, i] == register(matrix[lane // 4, lane % 4 * 2 : lane % 4 * 2 + 2].copy())


def test_rounding_to_tf32(module: Module) -> None:
    bits = np.random.default_rng(5).integers(0, 2**32, 64, dtype=np.uint32)
    bits[:4] = 0x3F801000, 0x3F800FFF, 0x7F800000, 0x7FC00001
    x, y = bits.view(np.float32), np.zeros(64, np.uint32)
    module.launch("rounded", 1, 64, y, x)
    assert list(y[:4]) == [0x3F802000, 0x3F800000, 0x7F800000, 0x7FC00001]
    finite = np.isfinite(x)
    exact, near = (values[finite].astype(np.float64) for values in (x, y.view(np.float32)))
    assert (np.abs(near - exact) <= 2.0**-11 * np.maximum(np.abs(exact), 2.0**-126)).all()
    assert (y[finite] % 2**13 == 0).all()


def test_copies_arrive_at_their_wait(module: Module) -> None:
    x = np.arange(128, dtype=np.float32).reshape(32, 4)
    y = np.zeros((32, 3, 3, 4), np.float32)
    module.launch("copies", 1, 32, y, x)
    some = np.where(np.arange(32)[:, None] % 2, x, 0)
    third = np.where(np.arange(4) == 2, 0, x)
    assert np.isnan(y[:, 0]).all()
    np.testing.assert_array_equal(y[:, 1, 0], x)
    assert np.isnan(y[:, 1, 1:]).all()
    np.testing.assert_array_equal(y[:, 2], np.stack([x, some, third], 1))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shifted", r"copy_async_16 in line \d+: the shared address is not a multiple of 16 bytes"),
        ("shifted_source", r"copy_async_16 in line \d+: the global address is not a multiple of 16 bytes"),
        ("not_shared", r"copy_async_16 in line \d+: the address is not in shared memory"),
        ("shifted_row", r"load_matrix_x2 in line \d+: the shared address is not a multiple of 16 bytes"),
    ],
)
def test_addresses_are_checked(module: Module, name: str, sentence: str) -> None:
    with pytest.raises(LaunchError, match=f"^{name}: {sentence}"):
        module.launch(name, 1, 32, np.zeros(64, np.float32))


def test_a_part_of_a_warp_has_no_product(module: Module) -> None:
    with pytest.raises(LaunchError, match="needs all 32 lanes of a warp, this one has 8"):
        module.launch("tf32", 1, 8, np.zeros(128, np.float32), np.zeros(128, np.uint32), np.zeros(64, np.uint32))
