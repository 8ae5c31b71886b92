// The sums of a tile on tensor cores. Both operands are in dynamic shared memory in their own order, for GPUDL_STAGES steps at
// a time; a warp computes PART_M x PART_N sums. Lines are padded to avoid bank conflicts:
//   ldmatrix reads 16 bytes of each of 8 lines. Lines are an odd number of 16 bytes long, so that these fall on 8 different
//   groups of 4 of the 32 banks.
//   float32 across k cannot be transposed by it (16 bits at a time), so lanes read 8 elements of each of 4 lines themselves.
//   Lines are 8 modulo 32 elements long, so that these 32 elements are in 32 banks.
// `shared_bytes` in tiles.py uses the same lengths.

#include "mma.cuh"

constexpr bool IS_FLOAT32 = sizeof(Real) == 4;
constexpr int UNIT = 16 / sizeof(Real);  // elements of 16 bytes
constexpr int ONCE = 2 * UNIT;           // terms of each sum in one instruction
constexpr int DOWN = PART_M / 16, RIGHT = PART_N / 8;  // adjacent instructions
constexpr int STAGES = GPUDL_STAGES;
constexpr int WIDTH_OUT = 2;

__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if GPUDL_REAL == FLOAT16
    mma_m16n8k16_f16(d, a, b);
#elif GPUDL_REAL == BFLOAT16
    mma_m16n8k16_bf16(d, a, b);
#else
    mma_m16n8k8_tf32(d, a, b);
#endif
}

// A gatherer's packs of one step in shared memory.
template <class G>
struct InShared {
    typedef typename G::S S;
    static constexpr int PITCH = S::LENGTH + (G::ALONG_K ? UNIT : 8), SIZE = S::LINES * PITCH;

    static __device__ __forceinline__ void begin(Real* stage, G& from) {
        from.each([&](int pass, Index offset, bool exists) {
            const Real* at = from.x + (exists ? offset : 0);
            Real* to = stage + S::line(pass) * PITCH + S::along();
            if constexpr (S::V * sizeof(Real) == 16)
                copy_async_16(to, at, exists);
            else if constexpr (S::V * sizeof(Real) == 4)
                copy_async_4(to, at, exists);
            else {
#pragma unroll
                for (int i = 0; i < S::V; ++i) to[i] = exists ? at[i] : Real(0.f);
            }
        });
    }

    // Loads the four registers of 16 lines (along M or N) and ONCE terms, from (line, k). Register i has the lines from
    // 8 * (i % 2) and the terms from ONCE / 2 * (i / 2), as the left operand needs it; for the right operand the two are swapped.
    static __device__ __forceinline__ void read(unsigned (&r)[4], const Real* stage, int line, int k, bool left) {
        const int lane = threadIdx.x % 32;
        const int one = lane / 8 % 2 * 8, other = lane / 16 * 8;
        if constexpr (G::ALONG_K)
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
};

// The fragments that a warp multiplies at a time.
struct Fragments {
    unsigned a[DOWN][4], b[RIGHT][2];
};

template <class A, class B, class Out>
__device__ __forceinline__ void multiply(A& a, B& b, const Place& place, const Out& out) {
    static_assert(PART_M % 16 == 0 && PART_N % 16 == 0 && TILE_K % ONCE == 0, "a warp computes whole fragments");
    typedef InShared<A> Left;
    typedef InShared<B> Right;
    extern __shared__ __align__(16) unsigned char room[];
    Real* const left = reinterpret_cast<Real*>(room);
    Real* const right = left + STAGES * Left::SIZE;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int m = warp / (TILE_N / PART_N) * PART_M, n = warp % (TILE_N / PART_N) * PART_N;

    auto begin = [&](int step) {
        if (step < place.steps) {
            Left::begin(left + step % STAGES * Left::SIZE, a);
            Right::begin(right + step % STAGES * Right::SIZE, b);
        }
        copy_async_commit();  // also an empty group, so that there is one per step
    };
    auto read = [&](Fragments& next, int stage, int k) {
#pragma unroll
        for (int i = 0; i < DOWN; ++i) Left::read(next.a[i], left + stage * Left::SIZE, m + 16 * i, k, true);
#pragma unroll
        for (int j = 0; j < RIGHT; j += 2) {
            unsigned two[4];
            Right::read(two, right + stage * Right::SIZE, n + 8 * j, k, false);
            next.b[j][0] = two[0], next.b[j][1] = two[1];
            next.b[j + 1][0] = two[2], next.b[j + 1][1] = two[3];
        }
    };

    float sums[DOWN][RIGHT][4] = {};
#pragma unroll
    for (int step = 0; step < STAGES - 1; ++step) begin(step);
    for (int step = 0; step < place.steps; ++step) {
        copy_async_wait<STAGES - 2>();
        __syncthreads();  // all threads' copies have arrived, and no thread reads the previous stage any more
        begin(step + STAGES - 1);
        Fragments fragments[2];
        read(fragments[0], step % STAGES, 0);
#pragma unroll
        for (int k = 0; k < TILE_K / ONCE; ++k) {
            if (k + 1 < TILE_K / ONCE) read(fragments[(k + 1) % 2], step % STAGES, (k + 1) * ONCE);
#pragma unroll
            for (int i = 0; i < DOWN; ++i)
#pragma unroll
                for (int j = 0; j < RIGHT; ++j) mma(sums[i][j], fragments[k % 2].a[i], fragments[k % 2].b[j]);
        }
    }
#pragma unroll
    for (int i = 0; i < DOWN; ++i)
#pragma unroll
        for (int j = 0; j < RIGHT; ++j)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const Sum near[2] = {sums[i][j][2 * half], sums[i][j][2 * half + 1]};
                out.put(place.m + m + 16 * i + lane / 4 + 8 * half, place.n + n + 8 * j + lane % 4 * 2, near);
            }
}
