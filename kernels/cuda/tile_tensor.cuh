// The sums of a tile on tensor cores. Both operands are in dynamic shared memory in their own order, for GPUDL_STAGES steps at
// a time; a warp computes PART_M x PART_N sums. Lines are padded to avoid bank conflicts:
//   ldmatrix reads 16 bytes of each of 8 lines. Lines are an odd number of 16 bytes long, so that these fall on 8 different
//   groups of 4 of the 32 banks.
//   float32 across k cannot be transposed by it (16 bits at a time), so lanes read 8 elements of each of 4 lines themselves.
//   Lines are 8 modulo 32 elements long, so that these 32 elements are in 32 banks.
// `shared_bytes` in tiles.py uses the same lengths.

#include "fragments.cuh"

constexpr int DOWN = PART_M / 16, RIGHT = PART_N / 8;  // adjacent instructions
constexpr int STAGES = GPUDL_STAGES;
constexpr int WIDTH_OUT = 2;

// A gatherer's packs of one step in shared memory.
template <class G>
struct InShared {
    typedef typename G::S S;
    static constexpr int PITCH = S::LENGTH + (G::ALONG_K ? UNIT : 8), SIZE = S::LINES * PITCH;

    static __device__ __forceinline__ void begin(Real* stage, G& from) {
        from.each([&](int pass, Index offset, bool exists) {
            const Real* at = from.x + (exists ? offset : 0);
            Real* to = stage + S::line(pass) * PITCH + S::along();
            copy_pack<S::V>(to, at, exists);
        });
    }

    static __device__ __forceinline__ void read(unsigned (&r)[4], const Real* stage, int line, int k, bool left) {
        read_fragment<G::ALONG_K, PITCH>(r, stage, line, k, left);
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
