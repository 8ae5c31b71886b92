// Attention tile by tile, of queries (B, T, H, D) over keys (B, S, K, D) and values (B, S, K, E): the scores of some queries and
// keys at a time exist, never all of them. Macros choose the tile:
//   GPUDL_TENSOR  whether tensor cores multiply
//   GPUDL_HEAD    elements of a query, a key or a value in shared memory: D and E rounded up, the rest is zeros
//   GPUDL_WARPS   warps that divide the rows of a block's own tile
//   GPUDL_ROWS    rows of each of these
//   GPUDL_STEP    rows of the other operand, which are in shared memory at a time
//   GPUDL_PACK    elements that a thread copies at a time
// A warp has all scores of its rows, so that their maxima and sums are found by shuffles.
#include "copies.cuh"

constexpr int HEAD = GPUDL_HEAD, WARPS = GPUDL_WARPS, ROWS = GPUDL_ROWS, STEP = GPUDL_STEP;
constexpr int OWN = WARPS * ROWS;      // rows of a block's own tile
constexpr int PITCH = HEAD + UNIT;     // elements from row to row of queries, keys and values
constexpr int ACROSS = STEP + UNIT;    // and of weights: an odd number of 16 bytes, against bank conflicts
constexpr int THREADS = 32 * WARPS;
constexpr int BLOCKS = 65536 / (128 * THREADS);  // that share a multiprocessor, with 128 registers a thread

#if GPUDL_TENSOR
#include "attention_tensor.cuh"
#else
#include "attention_plain.cuh"
#endif

#define LOG2_E Sum(1.4426950408889634)
#define INFINITE Sum(__int_as_float(0x7f800000))

// The last parameters of every kernel. A mask (B, H, T, S) has the strides MB, MH, MT, MS, 0 along an axis of size 1.
#define SIZES                                                                                                        \
    const int T, const int S, const int H, const int K, const int D, const int E, const Index MB, const Index MH,    \
        const Index MT, const Index MS, const int masked, const int causal, const Sum scale
#define GIVEN_SIZES T, S, H, K, D, E, MB, MH, MT, MS, masked, causal, scale

// The keys that queries of head h of sample b see.
struct Seen {
    const unsigned char* mask;
    Index MT, MS;
    int T, S, masked, causal;

    __device__ __forceinline__ Seen(const unsigned char* mask, int b, int h, SIZES)
        : mask(mask + (b * MB + h * MH)), MT(MT), MS(MS), T(T), S(S), masked(masked), causal(causal) {}

    __device__ __forceinline__ bool operator()(int query, int key) const {
        if (query >= T || key >= S || (causal && key > query)) return false;
        return !masked || mask[query * MT + key * MS];
    }

    // Which of a thread's scores count, a bit for each: QUERIES and KEYS of them, the first of which are given, and the row of
    // a sum is a key if KEYS_DOWN. The loop is short, as the addresses of all bits would need too many registers.
    template <class S_, int QUERIES, int KEYS, bool KEYS_DOWN>
    __device__ __forceinline__ unsigned bits(int query, int key) const {
        static_assert(S_::COUNT <= 32, "a bit for each");
        if (!masked && query + QUERIES <= T && key + KEYS <= S && (!causal || key + KEYS - 1 <= query)) return ~0u;
        unsigned bits = 0;
#pragma unroll 4
        for (int i = 0; i < S_::COUNT; ++i) {
            const int down = row_of(S_::line(i)), right = S_::column(i);
            bits |= unsigned((*this)(query + (KEYS_DOWN ? right : down), key + (KEYS_DOWN ? down : right))) << i;
        }
        return bits;
    }
};

// Begins to copy rows first ... first + N - 1 of `count`, `apart` elements apart and `width` long, to a tile; zeros elsewhere.
template <int N>
__device__ __forceinline__ void begin_rows(Real* tile, const Real* rows, int first, int count, Index apart, int width) {
    constexpr int PACKS = HEAD / GPUDL_PACK;
    for (int i = threadIdx.x; i < N * PACKS; i += blockDim.x) {
        const int row = i / PACKS, column = i % PACKS * GPUDL_PACK;
        const bool exists = first + row < count && column < width;
        copy_pack<GPUDL_PACK>(tile + row * PITCH + column, rows + (exists ? (first + row) * apart + column : 0), exists);
    }
}

// Calls f(i, row of the warp, column) for every sum of this thread.
template <class S, class F>
__device__ __forceinline__ void each_sum(S& sums, F f) {
#pragma unroll
    for (int i = 0; i < S::COUNT; ++i) f(i, row_of(S::line(i)), S::column(i));
}

// Stores the sums of the warp's rows first ... below `count`, each times its line's factor, `apart` elements apart.
template <class S>
__device__ __forceinline__ void store_rows(Real* rows, const S& sums, const Sum (&factor)[LINES], int first, int count,
                                           Index apart, int width) {
    constexpr int NEAR = S::NEAR, TOGETHER = GPUDL_PACK % NEAR == 0 ? NEAR : 1;
#pragma unroll
    for (int i = 0; i < S::COUNT; i += TOGETHER) {
        const int row = first + row_of(S::line(i)), column = S::column(i);
        Pack<Real, TOGETHER> pack;
#pragma unroll
        for (int j = 0; j < TOGETHER; ++j) pack.at[j] = Real(sums.at[i + j] * factor[S::line(i)]);
        if (row < count && column < width) *reinterpret_cast<Pack<Real, TOGETHER>*>(rows + row * apart + column) = pack;
    }
}

__device__ __forceinline__ Sum line_sum(Sum value) {
#pragma unroll
    for (int by = LANES / 2; by > 0; by /= 2) value += __shfl_xor_sync(0xffffffffu, value, by);
    return value;
}

__device__ __forceinline__ Sum line_max(Sum value) {
#pragma unroll
    for (int by = LANES / 2; by > 0; by /= 2) {
        const Sum other = __shfl_xor_sync(0xffffffffu, value, by);
        value = other > value ? other : value;
    }
    return value;
}
