// Pooling and its gradients for arrays (batch, height, width, channel), GPUDL_WIDTH channels at a time. All kernels are bound
// by memory: the index arithmetic, once per Pack, does not count.
#include "common.cuh"
#include "spans.cuh"

// GPUDL_TAP: the type of the position of a maximum, a*KW + b: unsigned char, or int for more than 256 taps.
typedef GPUDL_TAP Tap;
typedef Pack<Real, GPUDL_WIDTH> Reals;
typedef Pack<Tap, GPUDL_WIDTH> Taps;

// A kernel's C counts Packs of channels, not channels.
#define EACH_OUTPUT(i) FOR_EACH(i, N * OH * OW * C)
#define EACH_INPUT(i) FOR_EACH(i, N * H * W * C)
#define EACH(k) for (int k = 0; k < GPUDL_WIDTH; ++k)

// x (N, H, W, C) -> y, argmax (N, OH, OW, C): the first NaN of the window, else the first
// maximum. Padding never counts; a window entirely in the padding gives -inf and tap 0.
extern "C" __global__ void max_pool(Real* __restrict__ y, Tap* __restrict__ argmax, const Real* __restrict__ x,
                                    WINDOW) {
    EACH_OUTPUT(i) {
        UNFLATTEN(i, OH, OW, n, o, q, c);
        const Span rows = taps_inside(o, H, KH, SH, DH, PH), columns = taps_inside(q, W, KW, SW, DW, PW);
        Sum best[GPUDL_WIDTH];
        Taps taps;
        EACH(k) {
            best[k] = __int_as_float(0xff800000);  // -inf
            taps.at[k] = 0;
        }
        bool first = true;
        for (Index a = rows.first; a < rows.stop; ++a) {
            const Index h = o * SH - PH + a * DH;
            for (Index b = columns.first; b < columns.stop; ++b) {
                const Index w = q * SW - PW + b * DW;
                const Reals seen = ((const Reals*)x)[((n * H + h) * W + w) * C + c];
                EACH(k) {
                    const Sum value = Sum(seen.at[k]);
                    // Written so that a NaN is larger than any number, and the first NaN stays.
                    if (first || (best[k] == best[k] && !(value <= best[k]))) {
                        best[k] = value;
                        taps.at[k] = Tap(a * KW + b);
                    }
                }
                first = false;
            }
        }
        Reals maxima;
        EACH(k) maxima.at[k] = Real(best[k]);
        ((Reals*)y)[i] = maxima;
        ((Taps*)argmax)[i] = taps;
    }
}

// argmax (N, OH, OW, C), gradient(at) the Pack at an index into it -> dx (N, H, W, C): each input sums the gradients of the
// maxima that it is.
template <class Gradient>
__device__ __forceinline__ void spread(Real* dx, const Tap* argmax, Gradient gradient, WINDOW) {
    EACH_INPUT(i) {
        UNFLATTEN(i, H, W, n, h, w, c);
        Total sum[GPUDL_WIDTH];
        EACH(k) sum[k] = 0;
        FOR_EACH_OUTPUT_THAT_SEES(h, w, {
            const Taps taps = ((const Taps*)argmax)[at];
            const Reals g = gradient(at);
            EACH(k) {
                if (taps.at[k] == a * KW + b) sum[k] += Sum(g.at[k]);
            }
        })
        Reals result;
        EACH(k) result.at[k] = Real(Sum(sum[k]));
        ((Reals*)dx)[i] = result;
    }
}

#define THE_WINDOW N, H, W, C, OH, OW, KH, KW, SH, SW, DH, DW, PH, PW

// g, argmax (N, OH, OW, C) -> dx (N, H, W, C)
extern "C" __global__ void max_pool_grad(Real* __restrict__ dx, const Real* __restrict__ g,
                                         const Tap* __restrict__ argmax, WINDOW) {
    spread(dx, argmax, [=](Index at) { return ((const Reals*)g)[at]; }, THE_WINDOW);
}

// g, y, argmax (N, OH, OW, C) -> dx (N, H, W, C): the same, after the gradient of a ReLU with the result y.
extern "C" __global__ void relu_max_pool_grad(Real* __restrict__ dx, const Real* __restrict__ g,
                                              const Real* __restrict__ y, const Tap* __restrict__ argmax, WINDOW) {
    const auto before = [=](Index at) {
        Reals slope = ((const Reals*)g)[at];
        const Reals after = ((const Reals*)y)[at];
        // A product, so that infinities and NaN propagate as in the separate gradient of the ReLU.
        EACH(k) slope.at[k] = Real(Sum(slope.at[k]) * Sum(Sum(after.at[k]) > 0 ? 1 : 0));
        return slope;
    };
    spread(dx, argmax, before, THE_WINDOW);
}

// x (N, H, W, C), argmax (N, OH, OW, C) -> y (N, OH, OW, C): x where the maxima were, 0 for a window in the
// padding.
extern "C" __global__ void max_pool_pick(Real* __restrict__ y, const Real* __restrict__ x,
                                         const Tap* __restrict__ argmax, WINDOW) {
    EACH_OUTPUT(i) {
        UNFLATTEN(i, OH, OW, n, o, q, c);
        const Taps taps = ((const Taps*)argmax)[i];
        Reals picked;
        EACH(k) {
            const Index h = o * SH - PH + taps.at[k] / KW * DH, w = q * SW - PW + taps.at[k] % KW * DW;
            const Index at = (((n * H + h) * W + w) * C + c) * GPUDL_WIDTH + k;
            picked.at[k] = inside(h, H) && inside(w, W) ? x[at] : Real(0);
        }
        ((Reals*)y)[i] = picked;
    }
}

__device__ __forceinline__ Index count(Span rows, Span columns) {
    return rows.first < rows.stop && columns.first < columns.stop
               ? (rows.stop - rows.first) * (columns.stop - columns.first)
               : 1;
}

// x (N, H, W, C) -> y (N, OH, OW, C): the mean over the taps inside the input, 0 where there are none.
extern "C" __global__ void avg_pool(Real* __restrict__ y, const Real* __restrict__ x, WINDOW) {
    EACH_OUTPUT(i) {
        UNFLATTEN(i, OH, OW, n, o, q, c);
        const Span rows = taps_inside(o, H, KH, SH, DH, PH), columns = taps_inside(q, W, KW, SW, DW, PW);
        Total sum[GPUDL_WIDTH];
        EACH(k) sum[k] = 0;
        for (Index a = rows.first; a < rows.stop; ++a) {
            const Index h = o * SH - PH + a * DH;
            for (Index b = columns.first; b < columns.stop; ++b) {
                const Index w = q * SW - PW + b * DW;
                const Reals seen = ((const Reals*)x)[((n * H + h) * W + w) * C + c];
                EACH(k) sum[k] += Sum(seen.at[k]);
            }
        }
        const Total terms = Total(count(rows, columns));
        Reals mean;
        EACH(k) mean.at[k] = Real(Sum(sum[k] / terms));
        ((Reals*)y)[i] = mean;
    }
}

// g (N, OH, OW, C) -> dx (N, H, W, C): each input's share of the means that it is part of, in the order of the taps.
extern "C" __global__ void avg_pool_grad(Real* __restrict__ dx, const Real* __restrict__ g, WINDOW) {
    EACH_INPUT(i) {
        UNFLATTEN(i, H, W, n, h, w, c);
        Total sum[GPUDL_WIDTH];
        EACH(k) sum[k] = 0;
        FOR_EACH_OUTPUT_THAT_SEES(h, w, {
            const Sum terms = Sum(count(taps_inside(o, H, KH, SH, DH, PH), taps_inside(q, W, KW, SW, DW, PW)));
            const Reals share = ((const Reals*)g)[at];
            EACH(k) sum[k] += Sum(share.at[k]) / terms;
        })
        Reals result;
        EACH(k) result.at[k] = Real(Sum(sum[k]));
        ((Reals*)dx)[i] = result;
    }
}
