// Adding up partial sums, always in the same order.

#include "common.cuh"
#include "activated.cuh"

constexpr int NEAR = 32, APART = 8;  // results of a block, and threads that add up each

// partial (splits, size), bias (N) -> out (size)
extern "C" __global__ void __launch_bounds__(256)
    sum_splits(Real* __restrict__ out, const Sum* __restrict__ partial, const Real* __restrict__ bias, const Index size, const Index N, const int splits) {
    __shared__ Total of[APART][NEAR];
    const int x = threadIdx.x % NEAR, y = threadIdx.x / NEAR;
    for (Index first = blockIdx.x * NEAR; first < size; first += gridDim.x * NEAR) {
        const Index i = first + x;
        Total sum = 0;
        if (i < size)
#pragma unroll 4
            for (int split = y; split < splits; split += APART) sum += partial[split * (size_t)size + i];
        of[y][x] = sum;
        __syncthreads();
        if (y == 0 && i < size) {
            for (int other = 1; other < APART; ++other) sum += of[other][x];
            out[i] = finished(Sum(sum), bias, i % N);
        }
        __syncthreads();  // before the sums of the next results
    }
}
