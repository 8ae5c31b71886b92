// Batch normalization of x (R, C), the gradients of it and of layer normalization, and scaling channel by channel.
// GPUDL_RELU: 1 where a ReLU follows, and the gradient is that of its result.
#include "common.cuh"
#include "columns.cuh"

#ifndef GPUDL_RELU
#define GPUDL_RELU 0
#endif

#define FOR_PLACE(at, place) \
    for (Index r_ = place.first, at = r_ * C + place.column; r_ < place.last; r_ += place.by, at = r_ * C + place.column)

__device__ __forceinline__ void load(Sum (&value)[WIDTH], const Real* from) {
    const Reals pack = fetch(from);
    for (int j = 0; j < WIDTH; ++j) value[j] = Sum(pack.at[j]);
}

// x (R, C) -> y (R, C) = (x - center) * scale + shift, for the rows of a place.
__device__ __forceinline__ void scale_rows(Real* y, const Real* x, const Place& place, Index C,
                                           const Sum (&center)[WIDTH], const Sum (&scale)[WIDTH],
                                           const Sum (&shift)[WIDTH]) {
#pragma unroll 4
    FOR_PLACE(at, place) {
        const Reals in = fetch(x + at);
        Reals out;
        for (int j = 0; j < WIDTH; ++j) {
            const Sum value = (Sum(in.at[j]) - center[j]) * scale[j] + shift[j];
            out.at[j] = Real(GPUDL_RELU && value <= 0 ? Sum(0) : value);  // a NaN is not <= 0 and propagates
        }
        put(y + at, out);
    }
}

// x (R, C), center, scale, shift (C,) -> y (R, C)
extern "C" __global__ void scale_shift(Real* __restrict__ y, const Real* __restrict__ x,
                                       const Real* __restrict__ center, const Real* __restrict__ scale,
                                       const Real* __restrict__ shift, COLUMNS) {
    const Place place(GIVEN_COLUMNS);
    if (!place.inside) return;
    Sum from[WIDTH], by[WIDTH], to[WIDTH];
    for (int j = 0; j < WIDTH; ++j) {
        from[j] = Sum(center[place.column + j]);
        by[j] = Sum(scale[place.column + j]);
        to[j] = Sum(shift[place.column + j]);
    }
    scale_rows(y, x, place, C, from, by, to);
}

// The mean of each column, near + off, and the sum of squared deviations from it. Two terms keep the precision of the mean
// however far from 0 the values are.
struct Moments {
    Sum near[WIDTH], off[WIDTH], squares[WIDTH];
};

// Combines the moments of threads of `count` values each, of `total` in the block (Chan, Golub and LeVeque, "Algorithms
// for computing the sample variance", 1983). `near` is the same for all threads of a column.
__device__ __forceinline__ void join_moments(Moments& m, Total count, Total total, int lanes) {
    Total mean[WIDTH], squares[WIDTH];
    for (int j = 0; j < WIDTH; ++j) mean[j] = count > 0 ? Total(m.off[j]) * count : Total(0);
    sum_rows(mean, lanes);
    for (int j = 0; j < WIDTH; ++j) {
        mean[j] /= total;
        const Sum away = Sum(m.off[j] - mean[j]);
        squares[j] = count > 0 ? m.squares[j] + Total(away) * away * count : Total(0);
        m.off[j] = Sum(mean[j]);
    }
    sum_rows(squares, lanes);
    for (int j = 0; j < WIDTH; ++j) m.squares[j] = Sum(squares[j]);
}

// The moments of the rows of a block's part. Each thread shifts its values by the first of them, which is mostly so close to
// their mean that a single pass loses hardly any precision.
__device__ __forceinline__ Moments moments_of_rows(const Real* x, const Place& place, Index C, Index step) {
    Moments m = {};
    Sum first[WIDTH] = {};
    Total sum[WIDTH] = {}, squares[WIDTH] = {}, count = 0;
    const Index top = place.part * step;
    if (place.inside) load(m.near, x + top * C + place.column);
    if (place.first < place.last) load(first, x + place.first * C + place.column);
#pragma unroll 4
    FOR_PLACE(at, place) {
        Sum value[WIDTH];
        load(value, x + at);
        for (int j = 0; j < WIDTH; ++j) {
            const Sum away = value[j] - first[j];
            sum[j] += away;
            squares[j] += away * away;
        }
        count += 1;
    }
    if (count > 0)
        for (int j = 0; j < WIDTH; ++j) {
            const Total mean = sum[j] / count, rest = squares[j] - mean * sum[j];
            m.squares[j] = rest < 0 ? Sum(0) : Sum(rest);
            m.off[j] = Sum((first[j] - m.near[j]) + mean);
        }
    join_moments(m, count, Total(place.last - top), place.lanes);
    return m;
}

// parts (P, 3, C) of `step` rows each, R in all -> the combined moments. A thread combines several parts in two passes, the
// first of which computes the mean.
__device__ __forceinline__ Moments moments_of_parts(const Sum* parts_of, const Place& place, Index R, Index C,
                                                    Index parts, Index step) {
    Moments m = {};
    Total mean[WIDTH] = {};
    const Sum* column = parts_of + (place.inside ? place.column : 0);
    for (int j = 0; j < WIDTH; ++j) m.near[j] = column[j];
    for (int turn = 0; turn < 2; ++turn) {
        Total sum[WIDTH] = {};
        for (Index p = threadIdx.x / place.lanes; p < parts; p += place.by) {
            const Total count = Total(p + 1 < parts ? step : R - p * step);
            const Sum* part = column + p * 3 * C;
            for (int j = 0; j < WIDTH; ++j) {
                const Total away = (part[j] - m.near[j]) + part[C + j] - mean[j];
                sum[j] += turn == 0 ? away * count : away * away * count + part[2 * C + j];
            }
        }
        sum_rows(sum, place.lanes);
        for (int j = 0; j < WIDTH; ++j) {
            if (turn == 0) m.off[j] = Sum(mean[j] = sum[j] / Total(R));
            else m.squares[j] = Sum(sum[j]);
        }
    }
    return m;
}

// Normalizes the rows of a place by the moments of all R rows; the blocks of part 0 write the statistics.
__device__ __forceinline__ void normalize(Real* y, Real* mean, Real* variance, const Real* x, const Real* gamma,
                                          const Real* beta, const Moments& m, const Place& place, Index R, Index C,
                                          Sum epsilon) {
    if (!place.inside) return;
    Sum center[WIDTH], scale[WIDTH], shift[WIDTH];
    for (int j = 0; j < WIDTH; ++j) {
        const Index c = place.column + j;
        const Sum spread = Sum(Total(m.squares[j]) / R);
        center[j] = m.near[j] + m.off[j];
        scale[j] = Sum(gamma[c]) / sqrt(spread + epsilon);
        shift[j] = Sum(beta[c]);
        if (place.writes() && place.part == 0) {
            mean[c] = Real(center[j]);
            variance[c] = Real(spread);
        }
    }
    scale_rows(y, x, place, C, center, scale, shift);
}

#define NORMALIZED                                                                                               \
    Real *__restrict__ y, Real *__restrict__ mean, Real *__restrict__ variance, const Real *__restrict__ x,      \
        const Real *__restrict__ gamma, const Real *__restrict__ beta

// x (R, C), gamma, beta (C,) -> y (R, C), mean, variance (C,): for a single part.
extern "C" __global__ void batch_norm(NORMALIZED, COLUMNS, const Sum epsilon) {
    const Place place(GIVEN_COLUMNS);
    normalize(y, mean, variance, x, gamma, beta, moments_of_rows(x, place, C, step), place, R, C, epsilon);
}

// x (R, C) -> moments (parts, 3, C)
extern "C" __global__ void batch_norm_parts(Sum* __restrict__ moments, const Real* __restrict__ x, COLUMNS) {
    const Place place(GIVEN_COLUMNS);
    const Moments m = moments_of_rows(x, place, C, step);
    if (!place.writes()) return;
    Sum* part = moments + place.part * 3 * C + place.column;
    for (int j = 0; j < WIDTH; ++j) part[j] = m.near[j], part[C + j] = m.off[j], part[2 * C + j] = m.squares[j];
}

// x (R, C), moments (parts, 3, C), gamma, beta (C,) -> y (R, C), mean, variance (C,)
extern "C" __global__ void batch_norm_whole(NORMALIZED, const Sum* __restrict__ moments, COLUMNS,
                                            const Sum epsilon) {
    const Place place(GIVEN_COLUMNS);
    const Moments m = moments_of_parts(moments, place, R, C, parts, step);
    normalize(y, mean, variance, x, gamma, beta, m, place, R, C, epsilon);
}
