// Depthwise convolution of arrays (batch, height, width, channel) and its gradients, GPUDL_WIDTH channels at a time. An input is
// read again by the threads of its neighbours, from the cache.
#include "common.cuh"
#include "columns.cuh"
#include "spans.cuh"

constexpr int TAPS = 9;  // that a thread sums at a time for the gradient of the filters

// x (N, H, W, C), w (KH, KW, C) -> y (N, OH, OW, C); C counts Packs of channels, here and in the next kernel.
extern "C" __global__ void depthwise_conv2d(Real* __restrict__ y, const Real* __restrict__ x, const Real* __restrict__ w,
                                            WINDOW) {
    FOR_EACH(i, N * OH * OW * C) {
        UNFLATTEN(i, OH, OW, n, o, q, c);
        const Span rows = taps_inside(o, H, KH, SH, DH, PH), columns = taps_inside(q, W, KW, SW, DW, PW);
        Sum sum[WIDTH] = {};
        for (Index a = rows.first; a < rows.stop; ++a) {
            const Index start = ((n * H + o * SH - PH + a * DH) * W + q * SW - PW) * C + c;
            for (Index b = columns.first; b < columns.stop; ++b) {
                const Reals pixel = ((const Reals*)x)[start + b * DW * C], tap = ((const Reals*)w)[(a * KW + b) * C + c];
                for (int j = 0; j < WIDTH; ++j) sum[j] += Sum(pixel.at[j]) * Sum(tap.at[j]);
            }
        }
        Reals result;
        for (int j = 0; j < WIDTH; ++j) result.at[j] = Real(sum[j]);
        ((Reals*)y)[i] = result;
    }
}

// g (N, OH, OW, C), w (KH, KW, C) -> dx (N, H, W, C)
extern "C" __global__ void depthwise_conv2d_input_grad(Real* __restrict__ dx, const Real* __restrict__ g,
                                                       const Real* __restrict__ w, WINDOW) {
    FOR_EACH(i, N * H * W * C) {
        UNFLATTEN(i, H, W, n, h, v, c);
        Sum sum[WIDTH] = {};
        FOR_EACH_OUTPUT_THAT_SEES(h, v, {
            const Reals slope = ((const Reals*)g)[at];
            const Reals tap = ((const Reals*)w)[(a * KW + b) * C + c];
            for (int j = 0; j < WIDTH; ++j) sum[j] += Sum(slope.at[j]) * Sum(tap.at[j]);
        })
        Reals result;
        for (int j = 0; j < WIDTH; ++j) result.at[j] = Real(sum[j]);
        ((Reals*)dx)[i] = result;
    }
}

// x (N, H, W, C), g (N, OH, OW, C) -> partial (parts, KH * KW, C): the rows of g are split among parts, whose sums another kernel
// adds up. The blocks along y have different taps.
extern "C" __global__ void __launch_bounds__(256)
    depthwise_conv2d_weight_grad(Sum* __restrict__ partial, const Real* __restrict__ x, const Real* __restrict__ g,
                                 const Index parts, const Index step, const int lanes, WINDOW) {
    const Place place(N * OH * OW, C, parts, step, lanes);
    const Index first = blockIdx.y * TAPS;
    Sum sums[TAPS][WIDTH] = {};
    for (Index row = place.first; row < place.last; row += place.by) {
        const Index o = row / OW % OH * SH - PH, q = row % OW * SW - PW, image = row / OW / OH * H;
        const Reals slope = fetch(g + row * C + place.column);
#pragma unroll
        for (int t = 0; t < TAPS; ++t) {
            const Index h = o + (first + t) / KW * DH, v = q + (first + t) % KW * DW;
            if (first + t < KH * KW && inside(h, H) && inside(v, W)) {
                const Reals pixel = fetch(x + ((image + h) * W + v) * C + place.column);
#pragma unroll
                for (int j = 0; j < WIDTH; ++j) sums[t][j] += Sum(pixel.at[j]) * Sum(slope.at[j]);
            }
        }
    }
#pragma unroll
    for (int t = 0; t < TAPS; ++t) {
        if (first + t >= KH * KW) break;
        Total sum[WIDTH];
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) sum[j] = sums[t][j];
        sum_rows(sum, lanes);
        if (place.writes())
            for (int j = 0; j < WIDTH; ++j) partial[(place.part * KH * KW + first + t) * C + place.column + j] = Sum(sum[j]);
    }
}
