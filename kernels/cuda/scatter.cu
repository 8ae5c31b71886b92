// The gradient of gathering rows by index: for each row, the sum over the places where it was gathered.
#include "common.cuh"
#include "reduce.cuh"

// GPUDL_ORDER: int or long long, the type of row indices.
typedef GPUDL_ORDER Order;

#define ROWS 32      // of the result that a block sums, with COLUMNS columns
#define COLUMNS 128  // threads of a block
#define WARPS (COLUMNS / WARP)
#define AT_ONCE 4  // indices that each thread reads before all threads add

// g (M, C), order (M) -> out (N, C): row r is the sum of the rows i of g with order[i] == r, in order of i.
// A block keeps its rows in shared memory and each thread adds to one column of them, so that no two threads add to the same
// element: reading all indices costs little compared with atomics, whose order would differ from run to run.
extern "C" __global__ void take_grad(Real* __restrict__ out, const Real* __restrict__ g,
                                     const Order* __restrict__ order, const Index M, const Index C, const Index N) {
    __shared__ Total sums[ROWS][COLUMNS];
    __shared__ Index found[AT_ONCE * COLUMNS];  // the positions whose rows are the block's, in order,
    __shared__ int rows[AT_ONCE * COLUMNS];     // and which rows these are
    __shared__ int counts[AT_ONCE][WARPS];
    const Index first = Index(blockIdx.x) * ROWS, column = Index(blockIdx.y) * COLUMNS + threadIdx.x;
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int r = 0; r < ROWS; ++r) sums[r][threadIdx.x] = 0;
    for (Index start = 0; start < M; start += AT_ONCE * COLUMNS) {
        int row[AT_ONCE];
        unsigned ours[AT_ONCE];
        for (int k = 0; k < AT_ONCE; ++k) {
            const Index i = start + k * COLUMNS + threadIdx.x;
            // A negative index counts from the end, as in `take`; one out of range is ignored.
            const long long number = i < M ? (long long)order[i] : -1 - (long long)N;
            const long long at = number < 0 ? number + N : number;
            row[k] = at >= first && at < N && at - first < ROWS ? int(at - first) : -1;
            ours[k] = __ballot_sync(ALL_LANES, row[k] >= 0);
            if (lane == 0) counts[k][warp] = __popc(ours[k]);
        }
        __syncthreads();
        int total = 0;
        for (int k = 0; k < AT_ONCE; ++k) {
            for (int w = 0; w < WARPS; ++w) {
                if (w == warp && row[k] >= 0) {
                    const int at = total + __popc(ours[k] & ((1u << lane) - 1));
                    found[at] = start + k * COLUMNS + threadIdx.x;
                    rows[at] = row[k];
                }
                total += counts[k][w];
            }
        }
        __syncthreads();
        if (column < C) {
#pragma unroll 4
            for (int k = 0; k < total; ++k) sums[rows[k]][threadIdx.x] += Total(Sum(g[found[k] * C + column]));
        }
    }
    for (int r = 0; r < ROWS && first + r < N; ++r) {
        if (column < C) out[(first + r) * C + column] = Real(Sum(sums[r][threadIdx.x]));
    }
}
