// The gradient of a convolution with respect to its input: a convolution of the gradient of its result.
//
// With a stride of S an input h is read only by taps a with (h + P - a*D) % S == 0. All inputs with the same remainder h % S
// have the same taps, and adjacent inputs of these belong to adjacent outputs: each of the S * S classes of inputs is a
// convolution with a stride of 1, without zeros.

#include "common.cuh"
#include "tile.cuh"

// `count` inputs first, first + S, ... along an axis, and the `taps` taps that read them: tap, tap + next, ... The j-th tap of
// output p + shift - j*apart reads the p-th of the inputs.
struct Class {
    Index first, count, tap, next, taps, shift, apart;

    __device__ __forceinline__ Class(Index first, Index H, Index K, Index S, Index D, Index P) : first(first) {
        count = (H - first + S - 1) / S;
        for (tap = 0; tap < K && (first + P - tap * D) % S; ++tap) {
        }
        for (next = 1; next * D % S; ++next) {
        }
        taps = tap < K ? (K - 1 - tap) / next + 1 : 0;
        shift = (first + P - tap * D) / S;
        apart = next * D / S;
    }
};

// Element ((j, i, f), c) of the filters (KH, KW, C, F) at the taps of two classes.
template <int V>
struct FiltersAlong : Along<TILE_N, V> {
    typedef Along<TILE_N, V> S;
    const Real* x;
    Tap at;
    Class down, right;
    Index c, KW, C;

    __device__ __forceinline__ FiltersAlong(const Real* w, Index c, Index k, Class down, Class right, Index KW, Index C, Index F)
        : x(w), at(k + S::along(), right.taps, F), down(down), right(right), c(c + S::line(0)), KW(KW), C(C) {}

    template <class Put>
    __device__ __forceinline__ void each(Put put) {
        const Index tap = (down.tap + at.a * down.next) * KW + right.tap + at.b * right.next;
        const bool exists = at.a < down.taps;
        EACH_PASS(pass) {
            const Index channel = c + pass * S::APART;
            put(pass, (tap * C + channel) * at.C + at.c, exists & (channel < C));
        }
        at.advance(TILE_K);
    }
};

// The offset of row (n, p, q) of a class in dx (N, H, W, C).
struct InClass {
    Index N, H, W, C, SH, SW;
    Class down, right;

    __device__ __forceinline__ Index operator()(Index row) const {
        const Index q = row % right.count, p = row / right.count % down.count, n = row / right.count / down.count;
        return n < N ? ((n * H + down.first + p * SH) * W + right.first + q * SW) * C : -1;
    }
};

// g (N, OH, OW, F), w (KH, KW, C, F) -> dx (N, H, W, C), or partial (splits, N, H, W, C); the blocks along z are the classes
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    conv2d_input_grad(Real* __restrict__ dx, Sum* __restrict__ partial, const Real* __restrict__ g, const Real* __restrict__ w,
                      const Real* __restrict__ bias, WINDOW, const Index F) {
    __shared__ Row rows[TILE_M];
    const Class down(blockIdx.z / SW, H, KH, SH, DH, PH), right(blockIdx.z % SW, W, KW, SW, DW, PW);
    const Place place(C, down.taps * right.taps * F);
    if (place.m >= N * down.count * right.count) return;  // the whole block: other classes have more rows
    find_rows(rows, place.m, N, down.count, right.count, 1, 1, down.shift, right.shift, OH, OW, F);
    const Taps taps{down.taps, right.taps, -down.apart, -right.apart};
    WindowsAlong<GPUDL_PACK_A> windows(g, rows, place.k, taps, OH, OW, F);
    FiltersAlong<GPUDL_PACK_B> filters(w, place.n, place.k, down, right, KW, C, F);
    multiply(windows, filters, place,
             result<WIDTH_OUT>(dx, partial, bias, N * H * W * C, C, InClass{N, H, W, C, SH, SW, down, right}));
}
