// Rows that are read once. A row belongs to `lanes` threads, a power of 2 of adjacent threads of a warp or a whole block, each
// of which holds ITEMS of its elements in registers; only a row of more than lanes * ITEMS elements is read again.
#include "packs.cuh"
#include "reduce.cuh"

constexpr int ITEMS = 16;
constexpr int PACKS = ITEMS / WIDTH;

// The elements of a row that a thread holds.
struct Held {
    Sum at[PACKS][WIDTH];
};

__device__ __forceinline__ Total row_sum(Total value, int lanes) {
    return lanes > WARP ? block_sum(value) : warp_sum(value, lanes);
}

__device__ __forceinline__ Sum row_max(Sum value, int lanes) {
    return lanes > WARP ? block_max(value) : warp_max(value, lanes);
}

// Calls `row` for each of N rows of C elements, `n` = C, for any grid. All threads of a block iterate equally often, as the
// reductions require: those without a row get an empty one.
#define FOR_ROWS(row, n, N, C, lanes)                                                                \
    for (Index first_ = blockIdx.x * (Index)(blockDim.x / lanes); first_ < N;                        \
         first_ += gridDim.x * (Index)(blockDim.x / lanes))                                          \
        if (const Index mine_ = first_ + threadIdx.x / lanes, n = mine_ < N ? C : 0, row = n ? mine_ : 0; true)

// Calls f(k, elements k .. k + WIDTH - 1) for each Pack of the thread, with the elements in `held`, which are read again from
// the row if `reads`.
template <class F>
__device__ __forceinline__ void over_row(Held& held, const Real* row, Index n, int lanes, bool reads, F f) {
    const Index apart = lanes * WIDTH;
    for (Index start = threadIdx.x % lanes * WIDTH; start < n; start += PACKS * apart) {
        if (reads) {
#pragma unroll
            for (int h = 0; h < PACKS; ++h) {
                if (start + h * apart >= n) break;
                const Reals pack = fetch(row + start + h * apart);
#pragma unroll
                for (int j = 0; j < WIDTH; ++j) held.at[h][j] = Sum(pack.at[j]);
            }
        }
#pragma unroll
        for (int h = 0; h < PACKS; ++h) {
            if (start + h * apart >= n) break;
            f(start + h * apart, held.at[h]);
        }
    }
}
