// A step of LSTM and of GRU. hs (B, T, U) are the states after all steps: the kernel reads one and writes the next.
#include "common.cuh"
#include "rnn_step.cuh"

// The place of this thread in an array (B, T, ..., U) at a time.
__device__ __forceinline__ Index at_time(const Mine& mine, Index T, Index wide, Index t) {
    return (mine.row * T + t) * wide + mine.unit;
}

// x (B, T, 4 U), kernel transposed (4 U, U), bias (4 U), h0, c0 (B, U), mask (B, T) -> hs, cells (B, T, U),
// gates (B, T, 4 U), and with the last step h_last, c_last (B, U).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    lstm_step(Real* hs, Real* __restrict__ h_last, Real* __restrict__ c_last, Real* __restrict__ gates, Real* cells,
              const Real* __restrict__ x, const Real* __restrict__ kernel, const Real* __restrict__ bias,
              const Real* __restrict__ h0, const Real* __restrict__ c0, const bool* __restrict__ mask, STEP) {
    __shared__ alignas(16) Sum memory[Product<4>::SIZE];
    const Product<4> product{memory};
    const Mine mine(B, U);
    const bool first = !inside(before, T), last = !inside(2 * t - before, T);
    Sum z[4], h = 0, c = 0;
    bool counts = false;
    if (mine.exists) {  // before the product, so that these loads are not waited for
        const Index old = first ? mine.row * U + mine.unit : at_time(mine, T, U, before);
        h = (first ? h0 : hs)[old];
        c = (first ? c0 : cells)[old];
        counts = mask[mine.row * T + t];
#pragma unroll
        for (int g = 0; g < 4; ++g) z[g] = x[at_time(mine, T, 4 * U, t) + g * U] + bias[g * U + mine.unit];
    }
    product.multiply(first ? h0 : hs + before * U, first ? U : T * U, kernel, B, U, U);
    if (!mine.exists) return;
#pragma unroll
    for (int g = 0; g < 4; ++g) {
        z[g] += product.sum(g);
        z[g] = g == 2 ? tanh_of(z[g]) : sigmoid_of(z[g]);
        gates[at_time(mine, T, 4 * U, t) + g * U] = z[g];
    }
    if (counts) {
        c = z[1] * c + z[0] * z[2];
        h = z[3] * tanh_of(c);
    }
    hs[at_time(mine, T, U, t)] = h;
    cells[at_time(mine, T, U, t)] = c;
    if (last) {
        h_last[mine.row * U + mine.unit] = h;
        c_last[mine.row * U + mine.unit] = c;
    }
}

// x (B, T, 3 U), kernel transposed (3 U, U), bias (3 U), h0 (B, U), mask (B, T) -> hs (B, T, U), gates (B, T, 4 U), and with
// the last step h_last (B, U).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    gru_step(Real* hs, Real* __restrict__ h_last, Real* __restrict__ gates, const Real* __restrict__ x,
             const Real* __restrict__ kernel, const Real* __restrict__ bias, const Real* __restrict__ h0,
             const bool* __restrict__ mask, STEP) {
    __shared__ alignas(16) Sum memory[Product<3>::SIZE];
    const Product<3> product{memory};
    const Mine mine(B, U);
    const bool first = !inside(before, T), last = !inside(2 * t - before, T);
    Sum of_x[3], y[3], h = 0;
    bool counts = false;
    if (mine.exists) {
        h = first ? h0[mine.row * U + mine.unit] : hs[at_time(mine, T, U, before)];
        counts = mask[mine.row * T + t];
#pragma unroll
        for (int g = 0; g < 3; ++g) {
            of_x[g] = x[at_time(mine, T, 3 * U, t) + g * U];
            y[g] = bias[g * U + mine.unit];
        }
    }
    product.multiply(first ? h0 : hs + before * U, first ? U : T * U, kernel, B, U, U);
    if (!mine.exists) return;
#pragma unroll
    for (int g = 0; g < 3; ++g) y[g] += product.sum(g);
    const Sum z = sigmoid_of(of_x[0] + y[0]), r = sigmoid_of(of_x[1] + y[1]), candidate = tanh_of(of_x[2] + r * y[2]);
    const Sum kept[4] = {z, r, y[2], candidate};
#pragma unroll
    for (int g = 0; g < 4; ++g) gates[at_time(mine, T, 4 * U, t) + g * U] = kept[g];
    if (counts) h = z * h + (1 - z) * candidate;
    hs[at_time(mine, T, U, t)] = h;
    if (last) h_last[mine.row * U + mine.unit] = h;
}
