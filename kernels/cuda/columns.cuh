// Sums down the rows of x (O, R, C). A block is `lanes` adjacent Packs wide, and as high as the number of its threads allows:
// each thread sums every (threads / lanes)-th row. The R rows of a group are split among `parts` blocks, `step` rows to each.
#include "packs.cuh"
#include "reduce.cuh"

constexpr int MOST_LANES = 8;  // times 16 bytes make a cache line
constexpr int MOST_WARPS = 8;

#define COLUMNS const Index R, const Index C, const Index parts, const Index step, const int lanes
#define GIVEN_COLUMNS R, C, parts, step, lanes

// What a thread sums: its first column of C, and the rows first, first + by, ... below `last` of its part of a group.
struct Place {
    Index group, part, column, first, last, by;
    int lanes;
    bool inside;  // whether the column exists; if not, there are no rows

    __device__ __forceinline__ Place(COLUMNS) : lanes(lanes) {
        const Index tiles = (C + lanes * WIDTH - 1) / (lanes * WIDTH);
        part = blockIdx.x / tiles % parts;
        group = blockIdx.x / tiles / parts;
        column = (blockIdx.x % tiles * lanes + threadIdx.x % lanes) * WIDTH;
        inside = column < C;
        first = part * step + threadIdx.x / lanes;
        last = !inside ? first : (part + 1) * step < R ? (part + 1) * step : R;
        by = blockDim.x / lanes;
    }

    // Whether this thread writes the block's results for its columns.
    __device__ __forceinline__ bool writes() const { return inside && threadIdx.x < lanes; }
};

// Combines the values of each column over the rows of a block, always in the same order; all threads get the results.
template <class T, class F>
__device__ __forceinline__ void join_rows(T (&value)[WIDTH], int lanes, F join) {
    __shared__ T of_warp[MOST_WARPS][MOST_LANES * WIDTH];
    const int lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
#pragma unroll
    for (int j = 0; j < WIDTH; ++j)
        for (int by = WARP / 2; by >= lanes; by /= 2)
            value[j] = join(value[j], __shfl_xor_sync(ALL_LANES, value[j], by));
    __syncthreads();  // the threads may still be reading for an earlier call
    if (lane < lanes)
        for (int j = 0; j < WIDTH; ++j) of_warp[threadIdx.x / WARP][lane * WIDTH + j] = value[j];
    __syncthreads();
#pragma unroll
    for (int j = 0; j < WIDTH; ++j) {
        value[j] = of_warp[0][lane % lanes * WIDTH + j];
        for (int w = 1; w < warps; ++w) value[j] = join(value[j], of_warp[w][lane % lanes * WIDTH + j]);
    }
}

__device__ __forceinline__ void sum_rows(Total (&value)[WIDTH], int lanes) {
    join_rows(value, lanes, [](Total a, Total b) { return a + b; });
}
