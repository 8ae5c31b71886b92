// The gradient of a convolution with respect to its filters: the product of the windows, as columns, and the gradient of the result.

#include "common.cuh"
#include "tile.cuh"

// x (N, H, W, C), g (N, OH, OW, F) -> dw (KH, KW, C, F), or partial (splits, KH, KW, C, F)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    conv2d_weight_grad(Real* __restrict__ dw, Sum* __restrict__ partial, const Real* __restrict__ x, const Real* __restrict__ g,
                       const Real* __restrict__ bias, WINDOW, const Index F) {
    const Index M = KH * KW * C, K = N * OH * OW;
    const Place place(F, K);
    WindowsAcross<GPUDL_PACK_A> windows(x, place.m, place.k, N, H, W, C, OH, OW, KH, KW, SH, SW, DH, DW, PH, PW);
    MatrixAcross<TILE_N, GPUDL_PACK_B> gradient(g, place.n, place.k, K, F);
    multiply(windows, gradient, place, result<WIDTH_OUT>(dw, partial, bias, M * F, F, RowByRow{M, F}));
}
