// Matrix products.

#include "common.cuh"
#include "tile.cuh"

#if GPUDL_TRANSPOSE_A
typedef MatrixAcross<TILE_M, GPUDL_PACK_A> Left;
#else
typedef MatrixAlong<TILE_M, GPUDL_PACK_A> Left;
#endif
#if GPUDL_TRANSPOSE_B
typedef MatrixAlong<TILE_N, GPUDL_PACK_B> Right;
#else
typedef MatrixAcross<TILE_N, GPUDL_PACK_B> Right;
#endif

// a (M, K) or (K, M), b (K, N) or (N, K), bias (N) -> out (M, N), or partial (splits, M, N)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    matmul(Real* __restrict__ out, Sum* __restrict__ partial, const Real* __restrict__ a, const Real* __restrict__ b,
           const Real* __restrict__ bias, const Index M, const Index N, const Index K) {
    const Place place(N, K);
#if GPUDL_TRANSPOSE_A
    Left left(a, place.m, place.k, K, M);
#else
    Left left(a, place.m, place.k, M, K);
#endif
#if GPUDL_TRANSPOSE_B
    Right right(b, place.n, place.k, N, K);
#else
    Right right(b, place.n, place.k, K, N);
#endif
    multiply(left, right, place, result<WIDTH_OUT>(out, partial, bias, M * N, N, RowByRow{M, N}));
}
