// A convolution as a product of windows and filters (implicit GEMM): the windows are gathered when they are needed.

#include "common.cuh"
#include "tile.cuh"

// x (N, H, W, C), w (KH, KW, C, F), bias (F) -> y (N, OH, OW, F), or partial (splits, N, OH, OW, F)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    conv2d(Real* __restrict__ y, Sum* __restrict__ partial, const Real* __restrict__ x, const Real* __restrict__ w,
           const Real* __restrict__ bias, WINDOW, const Index F) {
    __shared__ Row rows[TILE_M];
    const Index M = N * OH * OW, K = KH * KW * C;
    const Place place(F, K);
    find_rows(rows, place.m, N, OH, OW, SH, SW, -PH, -PW, H, W, C);
    WindowsAlong<GPUDL_PACK_A> windows(x, rows, place.k, Taps{KH, KW, DH, DW}, H, W, C);
    MatrixAcross<TILE_N, GPUDL_PACK_B> filters(w, place.n, place.k, K, F);
    multiply(windows, filters, place, result<WIDTH_OUT>(y, partial, bias, M * F, F, RowByRow{M, F}));
}
