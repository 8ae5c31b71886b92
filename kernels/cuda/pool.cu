// Pooling and its adjoints for arrays (batch, height, width, channel).
#include "common.cuh"

// GPUDL_TAP: how the position of a maximum is kept, as a*KW + b: unsigned char, or int for more than 256 taps.
typedef GPUDL_TAP Tap;

// The number of taps of output `o` that look at the input and not at the padding, along one axis.
__device__ __forceinline__ Index taps_inside(Index o, Index H, Index K, Index S, Index D, Index P) {
    Index count = 0;
    for (Index a = 0; a < K; ++a) count += inside(o * S - P + a * D, H);
    return count;
}

// x (N, H, W, C) -> y, argmax (N, OH, OW, C): the first NaN of the window, else the first
// maximum. Padding never wins; a window that lies wholly in the padding gives -inf and tap 0.
extern "C" __global__ void max_pool(Real* __restrict__ y, Tap* __restrict__ argmax, const Real* __restrict__ x,
                                    WINDOW) {
    FOR_EACH(i, N * OH * OW * C) {
        UNFLATTEN(i, OH, OW, n, o, q, c);
        Sum best = __int_as_float(0xff800000);  // -inf
        Index tap = -1;
        for (Index a = 0; a < KH; ++a) {
            const Index h = o * SH - PH + a * DH;
            if (!inside(h, H)) continue;
            for (Index b = 0; b < KW; ++b) {
                const Index w = q * SW - PW + b * DW;
                if (!inside(w, W)) continue;
                const Sum value = Sum(x[((n * H + h) * W + w) * C + c]);
                // Written so that a NaN beats a number and nothing beats a NaN.
                if (tap < 0 || (best == best && !(value <= best))) {
                    best = value;
                    tap = a * KW + b;
                }
            }
        }
        y[i] = Real(best);
        argmax[i] = Tap(tap < 0 ? 0 : tap);
    }
}

// g, argmax (N, OH, OW, C) -> dx (N, H, W, C): each input sums the gradients of the maxima it was.
extern "C" __global__ void max_pool_grad(Real* __restrict__ dx, const Real* __restrict__ g,
                                         const Tap* __restrict__ argmax, WINDOW) {
    FOR_EACH(i, N * H * W * C) {
        UNFLATTEN(i, H, W, n, h, w, c);
        Sum sum = 0;
        for (Index a = 0; a < KH; ++a) {
            const Index o = seen_by(h, a, OH, SH, DH, PH);
            if (o < 0) continue;
            for (Index b = 0; b < KW; ++b) {
                const Index q = seen_by(w, b, OW, SW, DW, PW);
                if (q < 0) continue;
                const Index at = ((n * OH + o) * OW + q) * C + c;
                if (argmax[at] == a * KW + b) sum += Sum(g[at]);
            }
        }
        dx[i] = Real(sum);
    }
}

// x (N, H, W, C), argmax (N, OH, OW, C) -> y (N, OH, OW, C): x where the maxima were, 0 for a window in the
// padding.
extern "C" __global__ void max_pool_pick(Real* __restrict__ y, const Real* __restrict__ x,
                                         const Tap* __restrict__ argmax, WINDOW) {
    FOR_EACH(i, N * OH * OW * C) {
        UNFLATTEN(i, OH, OW, n, o, q, c);
        const Index h = o * SH - PH + argmax[i] / KW * DH;
        const Index w = q * SW - PW + argmax[i] % KW * DW;
        y[i] = inside(h, H) && inside(w, W) ? x[((n * H + h) * W + w) * C + c] : Real(0);
    }
}

// x (N, H, W, C) -> y (N, OH, OW, C): the mean over the taps inside the input, 0 where there are none.
extern "C" __global__ void avg_pool(Real* __restrict__ y, const Real* __restrict__ x, WINDOW) {
    FOR_EACH(i, N * OH * OW * C) {
        UNFLATTEN(i, OH, OW, n, o, q, c);
        Sum sum = 0;
        Index count = 0;
        for (Index a = 0; a < KH; ++a) {
            const Index h = o * SH - PH + a * DH;
            if (!inside(h, H)) continue;
            for (Index b = 0; b < KW; ++b) {
                const Index w = q * SW - PW + b * DW;
                if (!inside(w, W)) continue;
                sum += Sum(x[((n * H + h) * W + w) * C + c]);
                ++count;
            }
        }
        y[i] = Real(sum / Sum(count > 0 ? count : 1));
    }
}

// g (N, OH, OW, C) -> dx (N, H, W, C): each input's share of the means it went into, in the order of the taps.
extern "C" __global__ void avg_pool_grad(Real* __restrict__ dx, const Real* __restrict__ g, WINDOW) {
    FOR_EACH(i, N * H * W * C) {
        UNFLATTEN(i, H, W, n, h, w, c);
        Sum sum = 0;
        for (Index a = 0; a < KH; ++a) {
            const Index o = seen_by(h, a, OH, SH, DH, PH);
            if (o < 0) continue;
            const Index rows = taps_inside(o, H, KH, SH, DH, PH);
            for (Index b = 0; b < KW; ++b) {
                const Index q = seen_by(w, b, OW, SW, DW, PW);
                if (q < 0) continue;
                const Index count = rows * taps_inside(q, W, KW, SW, DW, PW);
                sum += Sum(g[((n * OH + o) * OW + q) * C + c]) / Sum(count);
            }
        }
        dx[i] = Real(sum);
    }
}
