// The gradients of batch normalization, and those of layer normalization with respect to gamma and beta: g, x, y (R, C).
// GPUDL_RELU: 1 where g is the gradient of the result y of a ReLU after it.
#include "common.cuh"
#include "columns.cuh"

#ifndef GPUDL_RELU
#define GPUDL_RELU 0
#endif

// The elements of one Pack: the gradients with respect to the input of the ReLU, and x.
struct Pair {
    Sum g[WIDTH], x[WIDTH];
};

__device__ __forceinline__ Pair pair_at(const Real* g, const Real* y, const Real* x, Index at) {
    Pair pair;
    const Reals slopes = fetch(g + at), numbers = fetch(x + at);
#if GPUDL_RELU
    const Reals cut = fetch(y + at);
#endif
    for (int j = 0; j < WIDTH; ++j) {
        pair.g[j] = Sum(slopes.at[j]);
        pair.x[j] = Sum(numbers.at[j]);
#if GPUDL_RELU
        pair.g[j] *= Sum(cut.at[j]) > 0 ? Sum(1) : Sum(0);
#endif
    }
    return pair;
}

// For each column the sum of g, and that of g * (x - mean) / sqrt(variance + epsilon).
struct Sums {
    Total plain[WIDTH], normal[WIDTH];
};

// The statistics by which x is normalized, in each column of a Pack.
struct Scale {
    Sum mean[WIDTH], inverse[WIDTH];

    __device__ __forceinline__ Scale(const Real* mean, const Real* variance, Sum epsilon, Index from, Index by) {
        for (int j = 0; j < WIDTH; ++j) {
            this->mean[j] = Sum(mean[from + j * by]);
            inverse[j] = 1 / sqrt(Sum(variance[from + j * by]) + epsilon);
        }
    }
};

// The sums over the rows of a block's part; scale_of(r) is the Scale of row r.
template <class F>
__device__ __forceinline__ Sums sums_of_rows(const Real* g, const Real* y, const Real* x, const Place& place, Index C,
                                             F scale_of) {
    Sums sums = {};
#pragma unroll 2
    for (Index r = place.first; r < place.last; r += place.by) {
        const Pair pair = pair_at(g, y, x, r * C + place.column);
        const Scale scale = scale_of(r);
        for (int j = 0; j < WIDTH; ++j) {
            sums.plain[j] += pair.g[j];
            sums.normal[j] += pair.g[j] * ((pair.x[j] - scale.mean[j]) * scale.inverse[j]);
        }
    }
    sum_rows(sums.plain, place.lanes);
    sum_rows(sums.normal, place.lanes);
    return sums;
}

// sums (parts, 2, C) -> their totals
__device__ __forceinline__ Sums sums_of_parts(const Sum* sums, const Place& place, Index C, Index parts) {
    Sums all = {};
    const Sum* column = sums + (place.inside ? place.column : 0);
    for (Index p = threadIdx.x / place.lanes; p < parts; p += place.by)
        for (int j = 0; j < WIDTH; ++j) {
            all.plain[j] += column[p * 2 * C + j];
            all.normal[j] += column[(p * 2 + 1) * C + j];
        }
    sum_rows(all.plain, place.lanes);
    sum_rows(all.normal, place.lanes);
    return all;
}

template <class T>
__device__ __forceinline__ void write(T* normal, T* plain, const Sums& sums, const Place& place) {
    if (!place.writes()) return;
    for (int j = 0; j < WIDTH; ++j) {
        normal[place.column + j] = T(Sum(sums.normal[j]));
        plain[place.column + j] = T(Sum(sums.plain[j]));
    }
}

#define BACKWARD                                                                                              \
    const Real *__restrict__ g, const Real *__restrict__ y, const Real *__restrict__ x,                       \
        const Real *__restrict__ mean, const Real *__restrict__ variance

// dx = (g - (sum of g + n * sum of g*n) / R) * gamma / sqrt(variance + epsilon), where n is x normalized; the blocks of part
// 0 write the gradients of gamma and beta.
__device__ __forceinline__ void spread(Real* dx, Real* dgamma, Real* dbeta, BACKWARD, const Real* gamma,
                                       const Scale& scale, const Sums& sums, const Place& place, Index R, Index C) {
    if (place.part == 0) write(dgamma, dbeta, sums, place);
    const Sum share = Sum(1) / Sum(R);
    Sum plain[WIDTH], normal[WIDTH];
    for (int j = 0; j < WIDTH; ++j) plain[j] = Sum(sums.plain[j]), normal[j] = Sum(sums.normal[j]);
#pragma unroll 2
    for (Index r = place.first; r < place.last; r += place.by) {
        const Pair pair = pair_at(g, y, x, r * C + place.column);
        Reals out;
        for (int j = 0; j < WIDTH; ++j) {
            const Sum n = (pair.x[j] - scale.mean[j]) * scale.inverse[j];
            const Sum common = (plain[j] + n * normal[j]) * share;
            out.at[j] = Real((pair.g[j] - common) * (Sum(gamma[place.column + j]) * scale.inverse[j]));
        }
        put(dx + r * C + place.column, out);
    }
}

#define GRADIENTS Real *__restrict__ dx, Real *__restrict__ dgamma, Real *__restrict__ dbeta
#define SCALE_OF_COLUMNS Scale(mean, variance, epsilon, place.inside ? place.column : 0, 1)

// g, y, x (R, C), mean, variance, gamma (C,) -> dx (R, C), dgamma, dbeta (C,): for a single part.
extern "C" __global__ void batch_norm_grad(GRADIENTS, BACKWARD, const Real* __restrict__ gamma, COLUMNS,
                                           const Sum epsilon) {
    const Place place(GIVEN_COLUMNS);
    const Scale scale = SCALE_OF_COLUMNS;
    const Sums sums = sums_of_rows(g, y, x, place, C, [&](Index) { return scale; });
    spread(dx, dgamma, dbeta, g, y, x, mean, variance, gamma, scale, sums, place, R, C);
}

// g, y, x (R, C), mean, variance (C,) -> sums (parts, 2, C)
extern "C" __global__ void batch_norm_grad_parts(Sum* __restrict__ sums, BACKWARD, COLUMNS, const Sum epsilon) {
    const Place place(GIVEN_COLUMNS);
    const Scale scale = SCALE_OF_COLUMNS;
    Sum* part = sums + place.part * 2 * C;
    write(part + C, part, sums_of_rows(g, y, x, place, C, [&](Index) { return scale; }), place);
}

// g, y, x (R, C), mean, variance, gamma (C,), sums (parts, 2, C) -> dx (R, C), dgamma, dbeta (C,)
extern "C" __global__ void batch_norm_grad_whole(GRADIENTS, BACKWARD, const Real* __restrict__ gamma,
                                                 const Sum* __restrict__ sums, COLUMNS, const Sum epsilon) {
    const Place place(GIVEN_COLUMNS);
    const Scale scale = SCALE_OF_COLUMNS;
    const Sums all = sums_of_parts(sums, place, C, parts);
    spread(dx, dgamma, dbeta, g, y, x, mean, variance, gamma, scale, all, place, R, C);
}

#define SCALE_OF_ROW [&](Index r) { return Scale(mean, variance, epsilon, r, 0); }

// g, x (R, C), mean, variance (R,) -> dgamma, dbeta (C,): for a single part.
extern "C" __global__ void layer_norm_weight_grad(Real* __restrict__ dgamma, Real* __restrict__ dbeta, BACKWARD,
                                                  COLUMNS, const Sum epsilon) {
    const Place place(GIVEN_COLUMNS);
    write(dgamma, dbeta, sums_of_rows(g, y, x, place, C, SCALE_OF_ROW), place);
}

// g, x (R, C), mean, variance (R,) -> sums (parts, 2, C)
extern "C" __global__ void layer_norm_weight_grad_parts(Sum* __restrict__ sums, BACKWARD, COLUMNS,
                                                        const Sum epsilon) {
    const Place place(GIVEN_COLUMNS);
    Sum* part = sums + place.part * 2 * C;
    write(part + C, part, sums_of_rows(g, y, x, place, C, SCALE_OF_ROW), place);
}

// sums (parts, 2, C) -> dgamma, dbeta (C,)
extern "C" __global__ void layer_norm_weight_grad_whole(Real* __restrict__ dgamma, Real* __restrict__ dbeta,
                                                        const Sum* __restrict__ sums, COLUMNS) {
    const Place place(GIVEN_COLUMNS);
    write(dgamma, dbeta, sums_of_parts(sums, place, C, parts), place);
}
