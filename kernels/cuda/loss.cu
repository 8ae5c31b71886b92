// Softmax and the cross-entropies of logits, row by row: z, p, t (N, C), labels, loss, g (N,).
#include "common.cuh"
#include "rows.cuh"

// GPUDL_LABEL: the integer type of labels.
#ifndef GPUDL_LABEL
#define GPUDL_LABEL int
#endif
typedef GPUDL_LABEL Label;

#define ROWS const Index N, const Index C, const int lanes

// The largest logit of a row, the sum of exp(z - top), and its logarithm.
struct Peak {
    Sum top, total, log_total;  // the sum is accumulated in Total

    __device__ __forceinline__ Real probability(Sum z) const { return Real(exp(z - top) / total); }
    __device__ __forceinline__ Sum log_probability(Sum z) const { return z - top - log_total; }
};

// Calls f(k, z[k .. k + WIDTH - 1], the row's Peak) for each Pack of a row. The exponentials are computed twice: keeping
// them would need as many registers again.
template <class F>
__device__ __forceinline__ void with_peak(const Real* z, Index n, int lanes, F f) {
    Held held;
    Peak peak = {LEAST, 0, 0};
    over_row(held, z, n, lanes, true, [&](Index, const Sum(&v)[WIDTH]) {
        for (int j = 0; j < WIDTH; ++j) peak.top = greater_of(v[j], peak.top);
    });
    peak.top = row_max(peak.top, lanes);
    const bool again = n > lanes * ITEMS;
    Total total = 0;
    over_row(held, z, n, lanes, again, [&](Index, const Sum(&v)[WIDTH]) {
        for (int j = 0; j < WIDTH; ++j) total += exp(v[j] - peak.top);
    });
    peak.total = Sum(row_sum(total, lanes));
    peak.log_total = log(peak.total);
    over_row(held, z, n, lanes, again, [&](Index k, const Sum(&v)[WIDTH]) { f(k, v, peak); });
}

__device__ __forceinline__ void put_probabilities(Real* p, const Sum (&z)[WIDTH], const Peak& peak) {
    Reals out;
    for (int j = 0; j < WIDTH; ++j) out.at[j] = peak.probability(z[j]);
    put(p, out);
}

// The class of a label, or -1 for a label out of range.
__device__ __forceinline__ Index class_of(Label label, Index C) {
    const long long at = (long long)label;
    return at >= 0 && at < C ? Index(at) : Index(-1);
}

__device__ __forceinline__ Sum not_a_number() { return Sum(__int_as_float(0x7fc00000)); }

// x (N, C) -> y (N, C)
extern "C" __global__ void softmax(Real* __restrict__ y, const Real* __restrict__ x, ROWS) {
    FOR_ROWS(row, n, N, C, lanes) {
        with_peak(x + row * C, n, lanes, [&](Index k, const Sum(&z)[WIDTH], const Peak& peak) {
            put_probabilities(y + row * C + k, z, peak);
        });
    }
}

// x (N, C) -> y (N, C)
extern "C" __global__ void log_softmax(Real* __restrict__ y, const Real* __restrict__ x, ROWS) {
    FOR_ROWS(row, n, N, C, lanes) {
        with_peak(x + row * C, n, lanes, [&](Index k, const Sum(&z)[WIDTH], const Peak& peak) {
            Reals out;
            for (int j = 0; j < WIDTH; ++j) out.at[j] = Real(peak.log_probability(z[j]));
            put(y + row * C + k, out);
        });
    }
}

// z, t (N, C) -> loss (N,) = -sum(t * log softmax(z)), p (N, C) = softmax(z)
extern "C" __global__ void softmax_cross_entropy(Real* __restrict__ loss, Real* __restrict__ p,
                                                 const Real* __restrict__ z, const Real* __restrict__ t, ROWS) {
    FOR_ROWS(row, n, N, C, lanes) {
        Total sum = 0;
        with_peak(z + row * C, n, lanes, [&](Index k, const Sum(&z)[WIDTH], const Peak& peak) {
            const Reals target = fetch(t + row * C + k);
            put_probabilities(p + row * C + k, z, peak);
            for (int j = 0; j < WIDTH; ++j) sum -= Sum(target.at[j]) * peak.log_probability(z[j]);
        });
        sum = row_sum(sum, lanes);
        if (n && threadIdx.x % lanes == 0) loss[row] = Real(Sum(sum));
    }
}

// z (N, C), labels (N,) -> loss (N,) = -log softmax(z)[label], NaN for a label out of range, p (N, C) = softmax(z)
extern "C" __global__ void sparse_softmax_cross_entropy(Real* __restrict__ loss, Real* __restrict__ p,
                                                        const Real* __restrict__ z,
                                                        const Label* __restrict__ labels, ROWS) {
    FOR_ROWS(row, n, N, C, lanes) {
        const Index wanted = n ? class_of(labels[row], C) : Index(0);
        with_peak(z + row * C, n, lanes, [&](Index k, const Sum(&z)[WIDTH], const Peak& peak) {
            put_probabilities(p + row * C + k, z, peak);
            for (int j = 0; j < WIDTH; ++j)
                if (k + j == wanted) loss[row] = Real(-peak.log_probability(z[j]));
        });
        if (wanted < 0 && threadIdx.x % lanes == 0) loss[row] = Real(not_a_number());
    }
}

// g (N,), p, t (N, C) -> dz (N, C) = g * (p * sum(t) - t)
extern "C" __global__ void softmax_cross_entropy_grad(Real* __restrict__ dz, const Real* __restrict__ g,
                                                      const Real* __restrict__ p, const Real* __restrict__ t, ROWS) {
    FOR_ROWS(row, n, N, C, lanes) {
        Held held;
        Total terms = 0;
        over_row(held, t + row * C, n, lanes, true, [&](Index, const Sum(&v)[WIDTH]) {
            for (int j = 0; j < WIDTH; ++j) terms += v[j];
        });
        const Sum mass = Sum(row_sum(terms, lanes));
        const Sum slope = n ? Sum(g[row]) : Sum(0);
        over_row(held, t + row * C, n, lanes, n > lanes * ITEMS, [&](Index k, const Sum(&v)[WIDTH]) {
            const Reals likely = fetch(p + row * C + k);
            Reals out;
            for (int j = 0; j < WIDTH; ++j) out.at[j] = Real(slope * (Sum(likely.at[j]) * mass - v[j]));
            put(dz + row * C + k, out);
        });
    }
}

// g, labels (N,), p (N, C) -> dz (N, C) = g * (p - onehot(label)), NaN for a label out of range
extern "C" __global__ void sparse_softmax_cross_entropy_grad(Real* __restrict__ dz, const Real* __restrict__ g,
                                                             const Real* __restrict__ p,
                                                             const Label* __restrict__ labels, const Index N,
                                                             const Index C) {
    FOR_EACH(i, N * C / WIDTH) {
        const Index row = i * WIDTH / C, k = i * WIDTH % C;
        const Index wanted = class_of(labels[row], C);
        const Sum slope = wanted < 0 ? not_a_number() : Sum(g[row]);
        const Reals likely = fetch(p + i * WIDTH);
        Reals out;
        for (int j = 0; j < WIDTH; ++j) out.at[j] = Real(slope * (Sum(likely.at[j]) - Sum(k + j == wanted)));
        put(dz + i * WIDTH, out);
    }
}
