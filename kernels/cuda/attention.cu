// Attention: a block has the results of some queries of one head, and goes over the keys that they see.
//
// The softmax over several tiles of keys is corrected as larger scores are found (Dao et al., "FlashAttention", NeurIPS 2022),
// and its sums are divided by last. Scores are in units of log 2, since an exponential of 2 is one instruction.
#include "common.cuh"
#include "attention.cuh"

// The score of a key that a query does not see: finite, so that one that sees none weighs all keys alike.
#if GPUDL_REAL == FLOAT64
constexpr Sum HIDDEN = -1.7976931348623157e308;
#else
constexpr Sum HIDDEN = -3.402823466e38f;
#endif

// q (B, T, H, D), k (B, S, K, D), v (B, S, K, E) -> out (B, T, H, E), lse (B, H, T)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention(Real* __restrict__ out, Real* __restrict__ lse, const Real* __restrict__ q, const Real* __restrict__ k,
              const Real* __restrict__ v, const unsigned char* __restrict__ mask, SIZES) {
    const int tiles = (T + OWN - 1) / OWN, h = blockIdx.x / tiles % H, b = blockIdx.x / tiles / H;
    const int first = (tiles - 1 - blockIdx.x % tiles) * OWN;  // the last queries begin first: they may see the most keys
    const int warp = threadIdx.x / 32, row = first + warp * ROWS;
    const Seen seen(mask, b, h, GIVEN_SIZES);
    const Index head = h / (H / K);
    k += ((Index)b * S * K + head) * D;
    v += ((Index)b * S * K + head) * E;

    extern __shared__ __align__(16) unsigned char room[];
    Real* const queries = reinterpret_cast<Real*>(room);
    Real* const keys = queries + OWN * PITCH;
    Real* const values = keys + STEP * PITCH;
    Real* const weights = values + STEP * PITCH + warp * ROWS * ACROSS;
    const auto begin_keys = [&](int key) {
        begin_rows<STEP>(keys, k, key, S, (Index)K * D, D);
        copy_async_commit();
    };

    Sums<HEAD, false> sums = {};
    Sum top[LINES], total[LINES] = {};
#pragma unroll
    for (int line = 0; line < LINES; ++line) top[line] = HIDDEN;
    const int last = causal && first + OWN < S ? first + OWN : S;
    begin_rows<OWN>(queries, q + ((Index)b * T * H + h) * D, first, T, (Index)H * D, D);
    begin_keys(0);
    for (int key = 0; key < S; key += STEP) {
        if (key >= last) {  // only for a query that the mask lets see none of the keys up to its own place
            bool hidden = false;
#pragma unroll
            for (int line = 0; line < LINES; ++line) hidden |= top[line] == HIDDEN && row + row_of(line) < T;
            if (!__syncthreads_or(hidden)) break;
            begin_keys(key);
        }
        typedef Sums<STEP, true> Scores;
        const unsigned bits = seen.bits<Scores, ROWS, STEP, false>(row, key);
        copy_async_wait<0>();
        __syncthreads();  // the keys have arrived, and no thread reads the last values any more
        begin_rows<STEP>(values, v, key, S, (Index)K * E, E);
        copy_async_commit();
        Scores scores = {};
        scores.add<HEAD, PITCH, PITCH>(queries + warp * ROWS * PITCH, keys);
        Sum most[LINES], factor[LINES];
#pragma unroll
        for (int line = 0; line < LINES; ++line) most[line] = top[line];
        each_sum(scores, [&](int i, int, int c) {
            const Sum score = bits >> i & 1 ? scores.at[i] * (scale * LOG2_E) : key + c < S ? HIDDEN : -INFINITE;
            Sum& so_far = most[scores.line(i)];
            so_far = score > so_far ? score : so_far;
            scores.at[i] = score;
        });
#pragma unroll
        for (int line = 0; line < LINES; ++line) {
            most[line] = line_max(most[line]);
            factor[line] = exp2(top[line] - most[line]);
            top[line] = most[line];
            total[line] *= factor[line];
        }
        each_sum(scores, [&](int i, int r, int c) {
            const Sum weight = exp2(scores.at[i] - top[scores.line(i)]);
            total[scores.line(i)] += weight;
            weights[r * ACROSS + c] = Real(weight);
        });
        each_sum(sums, [&](int i, int, int) { sums.at[i] *= factor[sums.line(i)]; });
        copy_async_wait<0>();
        __syncthreads();  // the values have arrived, and no thread reads the keys any more
        if (key + STEP < last) begin_keys(key + STEP);
        sums.add<STEP, ACROSS, PITCH>(weights, values);
    }
#pragma unroll
    for (int line = 0; line < LINES; ++line) {
        const Sum sum = line_sum(total[line]);
        const int query = row + row_of(line);
        if (query < T && threadIdx.x % LANES == 0)
            lse[((Index)b * H + h) * T + query] = Real(top[line] == HIDDEN && sum == sum ? -INFINITE : (top[line] + log2(sum)) / LOG2_E);
        total[line] = 1 / sum;
    }
    store_rows(out + ((Index)b * T * H + h) * E, sums, total, row, T, (Index)H * E, E);
}
