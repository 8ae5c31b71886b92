// Sums and maxima of x (O, R, C) along R, argmax, the gradient of a maximum, and that of a sum.
//   GPUDL_MAX    1 for maxima instead of sums
//   GPUDL_STAGE  0: all of R at once; 1: parts of it, stored in the type of sums; 2: the combination of the parts
#include "common.cuh"
#include "columns.cuh"

#ifndef GPUDL_STAGE
#define GPUDL_STAGE 0
#endif
#ifndef GPUDL_MAX
#define GPUDL_MAX 0
#endif

#if GPUDL_MAX
typedef Sum Joined;  // the result of a thread
#define NOTHING LEAST
__device__ __forceinline__ Sum join(Sum a, Sum b) { return greater_of(a, b); }
#define join_lanes warp_max
#define join_block block_max
#else
typedef Total Joined;
#define NOTHING Total(0)
__device__ __forceinline__ Total join(Total a, Total b) { return a + b; }
#define join_lanes warp_sum
#define join_block block_sum
#endif

#if GPUDL_STAGE == 0
typedef Real In;
typedef Real Out;
#elif GPUDL_STAGE == 1
typedef Real In;
typedef Joined Out;
#else
typedef Joined In;
typedef Real Out;
#endif

// What a stage stores: parts unchanged, results rounded to the type of computation and then to that of the array.
__device__ __forceinline__ Out written(Joined value, Joined divisor) {
#if GPUDL_STAGE == 1
    return value;
#else
    return Out(Sum(value / divisor));
#endif
}

// An element of an array in the type of the reduction. (There is no conversion of half to double.)
__device__ __forceinline__ Joined read(Real number) { return Joined(Sum(number)); }
#if GPUDL_STAGE == 2
__device__ __forceinline__ Joined read_part(In number) { return number; }
#else
#define read_part read
#endif

// x (O, R) -> y (O, parts), divided by `divisor`: rows, or parts of `step` elements, of `lanes` threads each: a power of 2
// of adjacent threads of a warp, or a whole block.
extern "C" __global__ void reduce_rows(Out* __restrict__ y, const In* __restrict__ x, const Index O, const Index R,
                                       const Index parts, const Index step, const int lanes, const Joined divisor) {
    const Index rows = O * parts, at_once = blockDim.x / lanes;
    for (Index top = blockIdx.x * at_once; top < rows; top += gridDim.x * at_once) {
        const Index mine = top + threadIdx.x / lanes, row = mine < rows ? mine : 0;
        const Index from = row % parts * step;
        const Index to = mine >= rows ? from : from + step < R ? from + step : R;
        const In* numbers = x + row / parts * R;
        Joined value = NOTHING;
#pragma unroll 4
        for (Index k = from + threadIdx.x % lanes * WIDTH; k < to; k += lanes * WIDTH) {
            const Pack<In, WIDTH> pack = fetch(numbers + k);
            for (int j = 0; j < WIDTH; ++j) value = join(value, read_part(pack.at[j]));
        }
        value = lanes > WARP ? join_block(value) : join_lanes(value, lanes);
        if (mine < rows && threadIdx.x % lanes == 0) y[row] = written(value, divisor);
    }
}

// x (O, R, C) -> y (O, parts, C), divided by `divisor`
extern "C" __global__ void reduce_columns(Out* __restrict__ y, const In* __restrict__ x, COLUMNS, const Joined divisor) {
    const Place place(GIVEN_COLUMNS);
    Joined value[WIDTH];
    for (int j = 0; j < WIDTH; ++j) value[j] = NOTHING;
#pragma unroll 4
    for (Index r = place.first; r < place.last; r += place.by) {
        const Pack<In, WIDTH> pack = fetch(x + (place.group * R + r) * C + place.column);
        for (int j = 0; j < WIDTH; ++j) value[j] = join(value[j], read_part(pack.at[j]));
    }
    join_rows(value, lanes, [](Joined a, Joined b) { return join(a, b); });
    if (!place.writes()) return;
    Out* to = y + (place.group * parts + place.part) * C + place.column;
    for (int j = 0; j < WIDTH; ++j) to[j] = written(value[j], divisor);
}

#if GPUDL_STAGE == 0
// Whether an element at one position precedes one at another: a NaN precedes all others, else the larger; of equals the first.
__device__ __forceinline__ bool goes_before(Sum a, Index at_a, Sum b, Index at_b) {
    const bool strange_a = a != a, strange_b = b != b;
    if (strange_a || strange_b) return strange_a && (!strange_b || at_a < at_b);
    return a > b || (a == b && at_a < at_b);
}

// x (N, C) -> at (N,): the first maximum of each row, or the first NaN; `lanes` threads of a warp for each.
extern "C" __global__ void argmax(int* __restrict__ at, const Real* __restrict__ x, const Index N, const Index C,
                                  const int lanes) {
    const Index at_once = blockDim.x / lanes;
    for (Index top = blockIdx.x * at_once; top < N; top += gridDim.x * at_once) {
        const Index mine = top + threadIdx.x / lanes, row = mine < N ? mine : 0;
        Sum best = LEAST;
        Index where = C;  // after all of them
        for (Index k = threadIdx.x % lanes * WIDTH; k < C; k += lanes * WIDTH) {
            const Reals pack = fetch(x + row * C + k);
            for (int j = 0; j < WIDTH; ++j)
                if (goes_before(Sum(pack.at[j]), k + j, best, where)) {
                    best = Sum(pack.at[j]);
                    where = k + j;
                }
        }
        for (int by = lanes / 2; by > 0; by /= 2) {
            const Sum other = __shfl_xor_sync(ALL_LANES, best, by);
            const Index there = __shfl_xor_sync(ALL_LANES, where, by);
            if (goes_before(other, there, best, where)) {
                best = other;
                where = there;
            }
        }
        if (mine < N && threadIdx.x % lanes == 0) at[row] = int(where);
    }
}

// g, y (O, C), x (O, R, C) -> dx (O, R, C): g where x is the maximum y, divided evenly among equal maxima.
extern "C" __global__ void max_grad(Real* __restrict__ dx, const Real* __restrict__ g, const Real* __restrict__ y,
                                    const Real* __restrict__ x, COLUMNS) {
    const Place place(GIVEN_COLUMNS);
    const Index column = place.group * C + place.column, top = place.group * R;
    Sum most[WIDTH] = {};
    Total share[WIDTH] = {};
    if (place.inside)
        for (int j = 0; j < WIDTH; ++j) most[j] = Sum(y[column + j]);
#pragma unroll 4
    for (Index r = place.first; r < place.last; r += place.by) {
        const Reals pack = fetch(x + (top + r) * C + place.column);
        for (int j = 0; j < WIDTH; ++j) share[j] += Sum(pack.at[j]) == most[j] ? 1 : 0;
    }
    sum_rows(share, lanes);
    if (place.inside)
        for (int j = 0; j < WIDTH; ++j) share[j] = Total(Sum(g[column + j])) / share[j];
#pragma unroll 4
    for (Index r = place.first; r < place.last; r += place.by) {
        const Reals pack = fetch(x + (top + r) * C + place.column);
        Reals out;
        for (int j = 0; j < WIDTH; ++j) out.at[j] = Real(Sum(share[j]) * (Sum(pack.at[j]) == most[j] ? Sum(1) : Sum(0)));
        put(dx + (top + r) * C + place.column, out);
    }
}

// g (O, C) -> dx (O, R, C) = g / divisor. Where C is 1 a Pack extends along R.
extern "C" __global__ void spread(Real* __restrict__ dx, const Real* __restrict__ g, const Index O, const Index R,
                                  const Index C, const Sum divisor) {
    FOR_EACH(i, O * R * C / WIDTH) {
        const Index group = i * WIDTH / (R * C), column = i * WIDTH % C;
        Reals out;
        for (int j = 0; j < WIDTH; ++j) out.at[j] = Real(Sum(g[group * C + column + (C == 1 ? 0 : j)]) / divisor);
        put(dx + i * WIDTH, out);
    }
}
#endif
