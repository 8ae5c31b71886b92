// Fragments of tensor cores, from lines in shared memory.
#include "copies.cuh"

constexpr bool IS_FLOAT32 = sizeof(Real) == 4;
constexpr int ONCE = 2 * UNIT;  // terms of each sum in one instruction

__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if GPUDL_REAL == FLOAT16
    mma_m16n8k16_f16(d, a, b);
#elif GPUDL_REAL == BFLOAT16
    mma_m16n8k16_bf16(d, a, b);
#else
    mma_m16n8k8_tf32(d, a, b);
#endif
}

// Loads the four registers of 16 lines (along M or N) and ONCE terms, from (line, k). The lines are PITCH elements apart and run
// along k if ALONG; else there is one for each k. Register i has the lines from 8 * (i % 2) and the terms from
// ONCE / 2 * (i / 2), as the left operand needs it; for the right operand the two are swapped.
template <bool ALONG, int PITCH>
__device__ __forceinline__ void read_fragment(unsigned (&r)[4], const Real* stage, int line, int k, bool left) {
    const int lane = threadIdx.x % 32;
    const int one = lane / 8 % 2 * 8, other = lane / 16 * 8;
    if constexpr (ALONG)
        load_matrix_x4(r, stage + (line + lane % 8 + (left ? one : other)) * PITCH + k + (left ? other : one) / 8 * UNIT);
    else if constexpr (!IS_FLOAT32)
        load_matrix_x4_trans(r, stage + (k + lane % 8 + (left ? other : one)) * PITCH + line + (left ? one : other));
    else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int next = left ? i % 2 : i / 2, after = left ? i / 2 : i % 2;
            r[i] = __float_as_uint(stage[(k + lane % 4 + 4 * after) * PITCH + line + lane / 4 + 8 * next]);
        }
    }
#if GPUDL_REAL == FLOAT32
#pragma unroll
    for (int i = 0; i < 4; ++i) r[i] = to_tf32(__uint_as_float(r[i]));
#endif
}
