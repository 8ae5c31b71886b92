// A step back of LSTM and of GRU: at first the product with the gradients of the step after it, which complete that of the
// state, then the gradients of the gates of this step. `dh` and, of an LSTM, `dc` (B, U) hold the gradients from step to step.
// A last launch, with t outside of the sequence, only completes `dh`.
//
// g (B, T, U), the gradient of all states, is read if `every`. Masked steps pass on what they get: the gradients of their gates
// are 0, and so is the product with them.
#include "common.cuh"
#include "rnn_step.cuh"

#define STATE mine.row * U + mine.unit
#define AT(wide, t) (mine.row * T + (t)) * (wide) + mine.unit

// The gradient of the state after step t: what step `after` left in `dh`, with the product, or at first that of the last state.
__device__ __forceinline__ Sum state_slope(const Product<1>& product, const Mine& mine, const Real* dh, const Real* g_h,
                                           const Real* g, int every, STEP) {
    const Sum slope = inside(2 * t - before, T) ? Sum(dh[STATE]) + product.sum(0) : Sum(g_h[STATE]);
    return inside(t, T) && every ? slope + g[AT(U, t)] : slope;
}

// g_h, g_c, c0 (B, U), kernel (U, 4 U), gates (B, T, 4 U), cells (B, T, U), mask (B, T) -> dx (B, T, 4 U), dh, dc (B, U)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    lstm_grad_step(Real* dx, Real* __restrict__ dh, Real* __restrict__ dc, const Real* __restrict__ g_h,
                   const Real* __restrict__ g_c, const Real* __restrict__ kernel, const Real* __restrict__ gates,
                   const Real* __restrict__ cells, const Real* __restrict__ c0, const bool* __restrict__ mask,
                   const Real* __restrict__ g, const int every, STEP) {
    __shared__ alignas(16) Sum memory[Product<1>::SIZE];
    const Product<1> product{memory};
    const Mine mine(B, U);
    const Index after = 2 * t - before;
    if (inside(after, T)) product.multiply(dx + after * 4 * U, T * 4 * U, kernel, B, U, 4 * U);
    if (!mine.exists) return;
    Sum of_h = state_slope(product, mine, dh, g_h, g, every, B, T, U, t, before);
    if (!inside(t, T)) {
        dh[STATE] = of_h;
        return;
    }
    Sum of_c = inside(after, T) ? dc[STATE] : g_c[STATE];
    Sum slopes[4] = {};
    if (mask[mine.row * T + t]) {
        Sum gate[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) gate[k] = gates[AT(4 * U, t) + k * U];
        const Sum i = gate[0], f = gate[1], candidate = gate[2], o = gate[3];
        const Sum old = inside(before, T) ? cells[AT(U, before)] : c0[STATE], squashed = tanh_of(cells[AT(U, t)]);
        of_c += of_h * o * (1 - squashed * squashed);
        slopes[0] = of_c * candidate * i * (1 - i);
        slopes[1] = of_c * old * f * (1 - f);
        slopes[2] = of_c * i * (1 - candidate * candidate);
        slopes[3] = of_h * squashed * o * (1 - o);
        of_c *= f;
        of_h = 0;  // all of it is in the product
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) dx[AT(4 * U, t) + k * U] = slopes[k];
    dh[STATE] = of_h;
    dc[STATE] = of_c;
}

// g_h, h0 (B, U), kernel (U, 3 U), gates (B, T, 4 U), hs (B, T, U), mask (B, T) -> dx, dy (B, T, 3 U), dh (B, U)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    gru_grad_step(Real* __restrict__ dx, Real* dy, Real* __restrict__ dh, const Real* __restrict__ g_h,
                  const Real* __restrict__ kernel, const Real* __restrict__ gates, const Real* __restrict__ hs,
                  const Real* __restrict__ h0, const bool* __restrict__ mask, const Real* __restrict__ g, const int every,
                  STEP) {
    __shared__ alignas(16) Sum memory[Product<1>::SIZE];
    const Product<1> product{memory};
    const Mine mine(B, U);
    const Index after = 2 * t - before;
    if (inside(after, T)) product.multiply(dy + after * 3 * U, T * 3 * U, kernel, B, U, 3 * U);
    if (!mine.exists) return;
    Sum of_h = state_slope(product, mine, dh, g_h, g, every, B, T, U, t, before);
    if (!inside(t, T)) {
        dh[STATE] = of_h;
        return;
    }
    Sum of_x[3] = {}, of_y = 0;
    if (mask[mine.row * T + t]) {
        Sum gate[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) gate[k] = gates[AT(4 * U, t) + k * U];
        const Sum z = gate[0], r = gate[1], y = gate[2], candidate = gate[3];
        const Sum old = inside(before, T) ? hs[AT(U, before)] : h0[STATE];
        of_x[0] = of_h * (old - candidate) * z * (1 - z);
        of_x[2] = of_h * (1 - z) * (1 - candidate * candidate);
        of_x[1] = of_x[2] * y * r * (1 - r);
        of_y = of_x[2] * r;
        of_h *= z;
    }
#pragma unroll
    for (int k = 0; k < 3; ++k) {
        dx[AT(3 * U, t) + k * U] = of_x[k];
        dy[AT(3 * U, t) + k * U] = k == 2 ? of_y : of_x[k];
    }
    dh[STATE] = of_h;
}
