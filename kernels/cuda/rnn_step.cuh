// One step of a recurrent network: a product of the rows of a batch, and behind it the gates, in one kernel. A kernel has this
// file's product for G blocks of the units: sums (B, G, U) of A (B, D), whose rows are `stride` apart, with the rows of
// W (G, U, D). Both lie along D, so that their loads are contiguous.
//   GPUDL_PART   rows of the batch of a thread
//   GPUDL_WIDTH  elements that a load moves
//
// A block has ROWS rows of the batch and UNITS units, so that all blocks of gates of a unit are in one block of threads. There is
// little work in a step, and the next one waits for it: so the warps of a block divide D, for short chains of additions. The
// order of a sum depends on D alone, not on GPUDL_PART.
#include "packs.cuh"
#include "elementwise.cuh"
#include "mma.cuh"

constexpr int WARPS = 8, THREADS = 32 * WARPS, UNITS = 8, PART = GPUDL_PART, ROWS = 4 * PART;
constexpr int BLOCKS = 2;  // at least, of a multiprocessor, so that a thread has 128 registers
constexpr int NEAR = 16 / sizeof(Sum);  // elements of 16 bytes
constexpr int AT_ONCE = WARPS * NEAR;   // terms of a sum for which all warps have work

// The step at time t of T; in the forward direction the one before it is `before`, which may be outside of the sequence.
#define STEP const Index B, const Index T, const Index U, const Index t, const Index before

// What a thread computes behind the product, if it exists: a unit of a row.
struct Mine {
    Index row, unit;
    bool exists;

    __device__ __forceinline__ Mine(Index B, Index U) {
        const Index across = (U + UNITS - 1) / UNITS;
        row = blockIdx.x / across * ROWS + threadIdx.x / UNITS;
        unit = blockIdx.x % across * UNITS + threadIdx.x % UNITS;
        exists = threadIdx.x < ROWS * UNITS && row < B && unit < U;
    }
};

template <int G>
struct Product {
    static constexpr int LINES = ROWS + G * UNITS;
    static constexpr int FIT = ((48 << 10) / int(sizeof(Sum)) / LINES - NEAR) / AT_ONCE * AT_ONCE;
    static constexpr int DEPTH = FIT < 512 ? FIT : 512;  // terms in shared memory at a time
    static constexpr int PITCH = DEPTH + NEAR;           // lines that lanes read together are on different banks
    static constexpr int SIZE = LINES * PITCH;
    static_assert(ROWS % WARPS == 0 && FIT > 0 && WARPS * G * ROWS * UNITS <= SIZE, "sums of all warps fit into the memory");

    Sum* const memory;

    // Loads some terms of all lines, with zeros for what does not exist.
    template <class Line>
    __device__ __forceinline__ void load(Index first, int length, Index D, const Real* anywhere, Line line) const {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
        for (int each = 0; each < LINES / WARPS; ++each) {
            const int number = warp + each * WARPS;
            const Real* from = line(number);
            for (int k = lane * WIDTH; k < length; k += 32 * WIDTH) {
                const bool exists = from && first + k < D;
                move(memory + number * PITCH + k, exists ? from + first + k : anywhere, exists);
            }
        }
    }

    static __device__ __forceinline__ void move(Sum* to, const Real* from, bool exists) {
        if constexpr (WIDTH * sizeof(Real) == 16)
            copy_async_16(to, from, exists);
        else
            for (int j = 0; j < WIDTH; ++j) {
                if constexpr (sizeof(Real) == 4)
                    copy_async_4(to + j, from + j, exists);
                else
                    to[j] = exists ? from[j] : Real(0);
            }
    }

    // Computes the sums of each warp, which `sum` adds up.
    __device__ __forceinline__ void multiply(const Real* a, Index stride, const Real* w, Index B, Index U, Index D) const {
        const int warp = threadIdx.x / 32, y = threadIdx.x % 32 / UNITS, x = threadIdx.x % UNITS;
        const Index across = (U + UNITS - 1) / UNITS;
        const Index row = blockIdx.x / across * ROWS, unit = blockIdx.x % across * UNITS;
        Sum sums[PART][G] = {};
        for (Index first = 0; first < D; first += DEPTH) {
            const int length = D - first < DEPTH ? int(D - first + NEAR - 1) / NEAR * NEAR : DEPTH;
            if (first) __syncthreads();  // the terms before these are still being read
            load(first, length, D, w, [&](int line) -> const Real* {  // rows of the batch, then those of W
                if (line < ROWS) return row + line < B ? a + (row + line) * stride : nullptr;
                const Index at = unit + (line - ROWS) % UNITS;
                return at < U ? w + ((line - ROWS) / UNITS * U + at) * D : nullptr;
            });
            copy_async_commit();
            copy_async_wait<0>();
            __syncthreads();
            for (int k = warp * NEAR; k < length; k += AT_ONCE) {
                Pack<Sum, NEAR> of_w[G];
#pragma unroll
                for (int g = 0; g < G; ++g) of_w[g] = packed<NEAR>(memory + (ROWS + g * UNITS + x) * PITCH + k);
#pragma unroll
                for (int i = 0; i < PART; ++i) {
                    const Pack<Sum, NEAR> of_a = packed<NEAR>(memory + (y + 4 * i) * PITCH + k);
#pragma unroll
                    for (int g = 0; g < G; ++g)
#pragma unroll
                        for (int j = 0; j < NEAR; ++j) sums[i][g] += of_a.at[j] * of_w[g].at[j];
                }
            }
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < PART; ++i)
#pragma unroll
            for (int g = 0; g < G; ++g) memory[((warp * G + g) * ROWS + y + 4 * i) * UNITS + x] = sums[i][g];
        __syncthreads();
    }

    // The sum of this thread's unit in block g, over the warps in their order.
    __device__ __forceinline__ Sum sum(int g) const {
        Sum sum = memory[g * ROWS * UNITS + threadIdx.x];
#pragma unroll
        for (int warp = 1; warp < WARPS; ++warp) sum += memory[(warp * G + g) * ROWS * UNITS + threadIdx.x];
        return sum;
    }
};
