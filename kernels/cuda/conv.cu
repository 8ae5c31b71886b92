// im2col and its adjoint for arrays (batch, height, width, channel).
#include "common.cuh"

// GPUDL_CHUNK: bytes that im2col moves at a time, 2, 4, 8 or 16. A copy does not depend on the element type, and wide
// accesses need fewer instructions.
#if GPUDL_CHUNK == 2
typedef unsigned short Chunk;
#elif GPUDL_CHUNK == 4
typedef unsigned int Chunk;
#elif GPUDL_CHUNK == 8
typedef unsigned long long Chunk;
#else
typedef uint4 Chunk;
#endif

// x (N, H, W, C) -> cols (N*OH*OW, KH*KW*C), zeros where a tap falls on the padding. C counts chunks.
extern "C" __global__ void im2col(Chunk* __restrict__ cols, const Chunk* __restrict__ x, WINDOW) {
    FOR_EACH(i, N * OH * OW * KH * KW * C) {
        UNFLATTEN(i, KH, KW, row, a, b, c);
        const Index q = row % OW;
        const Index o = row / OW % OH;
        const Index n = row / OW / OH;
        const Index h = o * SH - PH + a * DH;
        const Index w = q * SW - PW + b * DW;
        cols[i] = inside(h, H) && inside(w, W) ? x[((n * H + h) * W + w) * C + c] : Chunk();
    }
}

// cols (N*OH*OW, KH*KW*C) -> x (N, H, W, C): each input sums the columns that it was copied to, in the order of
// the taps.
extern "C" __global__ void col2im(Real* __restrict__ x, const Real* __restrict__ cols, WINDOW) {
    FOR_EACH(i, N * H * W * C) {
        UNFLATTEN(i, H, W, n, h, w, c);
        Sum sum = 0;
        for (Index a = 0; a < KH; ++a) {
            const Index o = seen_by(h, a, OH, SH, DH, PH);
            if (o < 0) continue;
            for (Index b = 0; b < KW; ++b) {
                const Index q = seen_by(w, b, OW, SW, DW, PW);
                if (q >= 0) sum += Sum(cols[((((n * OH + o) * OW + q) * KH + a) * KW + b) * C + c]);
            }
        }
        x[i] = Real(sum);
    }
}
