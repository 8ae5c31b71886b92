// Layer normalization of the rows of x (N, C), and its gradient with respect to x.
#include "common.cuh"
#include "rows.cuh"

#define ROWS const Index N, const Index C, const int lanes, const Sum epsilon

// x (N, C), gamma, beta (C,) -> y (N, C), mean, variance (N,): the variance is the mean of the squared deviations.
extern "C" __global__ void layer_norm(Real* __restrict__ y, Real* __restrict__ mean, Real* __restrict__ variance,
                                      const Real* __restrict__ x, const Real* __restrict__ gamma,
                                      const Real* __restrict__ beta, ROWS) {
    FOR_ROWS(row, n, N, C, lanes) {
        Held held;
        const Real* numbers = x + row * C;
        const bool again = n > lanes * ITEMS;
        Total sum = 0, squares = 0;
        over_row(held, numbers, n, lanes, true, [&](Index, const Sum(&v)[WIDTH]) {
            for (int j = 0; j < WIDTH; ++j) sum += v[j];
        });
        const Sum center = Sum(row_sum(sum, lanes) / C);
        over_row(held, numbers, n, lanes, again, [&](Index, const Sum(&v)[WIDTH]) {
            for (int j = 0; j < WIDTH; ++j) squares += (v[j] - center) * (v[j] - center);
        });
        const Sum spread = Sum(row_sum(squares, lanes) / C);
        const Sum inverse = 1 / sqrt(spread + epsilon);
        over_row(held, numbers, n, lanes, again, [&](Index k, const Sum(&v)[WIDTH]) {
            const Reals factor = fetch(gamma + k), shift = fetch(beta + k);
            Reals out;
            for (int j = 0; j < WIDTH; ++j)
                out.at[j] = Real((v[j] - center) * inverse * Sum(factor.at[j]) + Sum(shift.at[j]));
            put(y + row * C + k, out);
        });
        if (n && threadIdx.x % lanes == 0) {
            mean[row] = Real(center);
            variance[row] = Real(spread);
        }
    }
}

// g, x (N, C), gamma (C,), mean, variance (N,) -> dx (N, C): with h = g * gamma and n = x normalized, the component of h
// orthogonal to 1 and to n, divided by the standard deviation.
extern "C" __global__ void layer_norm_input_grad(Real* __restrict__ dx, const Real* __restrict__ g,
                                                 const Real* __restrict__ x, const Real* __restrict__ gamma,
                                                 const Real* __restrict__ mean, const Real* __restrict__ variance,
                                                 ROWS) {
    FOR_ROWS(row, n, N, C, lanes) {
        Held numbers;
        const Index at = row * C;
        const bool again = n > lanes * ITEMS;
        const Sum center = Sum(mean[row]), inverse = 1 / sqrt(Sum(variance[row]) + epsilon);
        Total sum = 0, products = 0;
        over_row(numbers, x + at, n, lanes, true, [&](Index k, const Sum(&v)[WIDTH]) {
            const Reals slope = fetch(g + at + k), factor = fetch(gamma + k);
            for (int j = 0; j < WIDTH; ++j) {
                const Sum h = Sum(slope.at[j]) * Sum(factor.at[j]);
                sum += h;
                products += h * ((v[j] - center) * inverse);
            }
        });
        const Sum plain = Sum(row_sum(sum, lanes) / C), normal = Sum(row_sum(products, lanes) / C);
        over_row(numbers, x + at, n, lanes, again, [&](Index k, const Sum(&v)[WIDTH]) {
            const Reals slope = fetch(g + at + k), factor = fetch(gamma + k);
            Reals out;
            for (int j = 0; j < WIDTH; ++j) {
                const Sum h = Sum(slope.at[j]) * Sum(factor.at[j]);
                out.at[j] = Real((h - plain - (v[j] - center) * inverse * normal) * inverse);
            }
            put(dx + at + k, out);
        });
    }
}
