// The gradients of attention, whose weights are computed again from the scores: of queries by blocks of these, then of keys and
// values by blocks of those, so that no two blocks add to one sum.
//
// The first kernel also finds, for each query, log2 of the sum of its exponentials, as the one that the forward pass returns may
// be rounded to 16 bits, and the product of its result and the gradient of this.
#include "common.cuh"
#include "attention.cuh"

// g, out (B, T, H, E), lse (B, H, T), q, k, v -> dq (B, T, H, D), sums, products (B, H, T)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_queries_grad(Real* __restrict__ dq, Sum* __restrict__ sums, Sum* __restrict__ products,
                           const Real* __restrict__ g, const Real* __restrict__ out, const Real* __restrict__ lse,
                           const Real* __restrict__ q, const Real* __restrict__ k, const Real* __restrict__ v,
                           const unsigned char* __restrict__ mask, SIZES) {
    const int tiles = (T + OWN - 1) / OWN, h = blockIdx.x / tiles % H, b = blockIdx.x / tiles / H;
    const int first = (tiles - 1 - blockIdx.x % tiles) * OWN;
    const int warp = threadIdx.x / 32, row = first + warp * ROWS;
    const Seen seen(mask, b, h, GIVEN_SIZES);
    const Index head = h / (H / K), token = (Index)b * T * H + h;
    k += ((Index)b * S * K + head) * D;
    v += ((Index)b * S * K + head) * E;
    g += token * E;
    out += token * E;

    extern __shared__ __align__(16) unsigned char room[];
    Real* const queries = reinterpret_cast<Real*>(room);
    Real* const slopes_of_out = queries + OWN * PITCH;
    Real* const keys = slopes_of_out + OWN * PITCH;
    Real* const values = keys + STEP * PITCH;
    Real* const slopes = values + STEP * PITCH + warp * ROWS * ACROSS;
    const auto begin_values = [&](int key) {
        begin_rows<STEP>(values, v, key, S, (Index)K * E, E);
        copy_async_commit();
    };

    const int last = causal && first + OWN < S ? first + OWN : S;
    begin_rows<OWN>(queries, q + token * D, first, T, (Index)H * D, D);
    begin_rows<OWN>(slopes_of_out, g, first, T, (Index)H * E, E);
    begin_values(0);
    Sum given[LINES], product[LINES] = {}, total[LINES] = {};
#pragma unroll
    for (int line = 0; line < LINES; ++line) {
        const int query = row + row_of(line);
        given[line] = query < T ? Sum(lse[((Index)b * H + h) * T + query]) * LOG2_E : Sum(0);
        for (int e = threadIdx.x % LANES; e < E && query < T; e += LANES)
            product[line] += Sum(g[query * ((Index)H * E) + e]) * Sum(out[query * ((Index)H * E) + e]);
        product[line] = line_sum(product[line]);
    }
    Sums<HEAD, false> result = {};
    for (int key = 0; key < last; key += STEP) {
        typedef Sums<STEP, true> Scores;
        const unsigned bits = seen.bits<Scores, ROWS, STEP, false>(row, key);
        copy_async_wait<0>();
        __syncthreads();  // the values have arrived, and no thread reads the last keys any more
        begin_rows<STEP>(keys, k, key, S, (Index)K * D, D);
        copy_async_commit();
        Scores of_weights = {};
        of_weights.add<HEAD, PITCH, PITCH>(slopes_of_out + warp * ROWS * PITCH, values);
        copy_async_wait<0>();
        __syncthreads();  // the keys have arrived, and no thread reads the values any more
        if (key + STEP < last) begin_values(key + STEP);
        Scores scores = {};
        scores.add<HEAD, PITCH, PITCH>(queries + warp * ROWS * PITCH, keys);
        each_sum(scores, [&](int i, int r, int c) {
            const int line = scores.line(i);
            const bool counts = bits >> i & 1;
            const Sum weight = counts ? exp2(scores.at[i] * (scale * LOG2_E) - given[line]) : Sum(0);
            total[line] += weight;
            slopes[r * ACROSS + c] = Real(counts ? weight * (of_weights.at[i] - product[line]) : Sum(0));
        });
        __syncwarp();  // the slopes of all lanes
        result.add<STEP, ACROSS, PITCH>(slopes, keys);
    }
#pragma unroll
    for (int line = 0; line < LINES; ++line) {
        const Sum sum = line_sum(total[line]);
        const int query = row + row_of(line);
        if (query < T && threadIdx.x % LANES == 0) {
            const Index at = ((Index)b * H + h) * T + query;
            sums[at] = given[line] == -INFINITE ? given[line] : given[line] + log2(sum);
            products[at] = product[line];
        }
        total[line] = sum == 0 ? Sum(0) : scale / sum;
    }
    store_rows(dq + token * D, result, total, row, T, (Index)H * D, D);
}

#define PAIRS (2 * THREADS)  // threads of a block
#define HALF (BLOCKS / 2)    // as many blocks

// q, k, v, g (B, T, H, E), sums, products (B, H, T) -> dk (B, S, K, D), dv (B, S, K, E)
//
// One half of the warps finds weights (keys by queries) and the gradients of values, the other half the gradients of these
// weights and of keys: with other arrays this is the same work, and each has registers for the one result.
extern "C" __global__ void __launch_bounds__(PAIRS, HALF)
    attention_keys_grad(Real* __restrict__ dk, Real* __restrict__ dv, const Real* __restrict__ g,
                        const Real* __restrict__ q, const Real* __restrict__ k, const Real* __restrict__ v,
                        const Sum* __restrict__ sums, const Sum* __restrict__ products,
                        const unsigned char* __restrict__ mask, SIZES) {
    const int tiles = (S + OWN - 1) / OWN, head = blockIdx.x / tiles % K, b = blockIdx.x / tiles / K;
    const int first = blockIdx.x % tiles * OWN, warp = threadIdx.x / 32 % WARPS;
    const bool for_keys = threadIdx.x >= THREADS;
    const int shared = H / K, steps_of_head = (T + STEP - 1) / STEP, steps = shared * steps_of_head;

    extern __shared__ __align__(16) unsigned char room[];
    Real* const keys = reinterpret_cast<Real*>(room);
    Real* const values = keys + OWN * PITCH;
    Real* const queries = values + OWN * PITCH;  // of this step and of the next one
    Real* const slopes_of_out = queries + 2 * STEP * PITCH;
    Real* const weights = slopes_of_out + 2 * STEP * PITCH + warp * ROWS * ACROSS;
    Real* const slopes = weights + OWN * ACROSS;

    const auto begin = [&](int step, int stage) {
        const Index token = (Index)b * T * H + head * shared + step / steps_of_head;
        const int query = step % steps_of_head * STEP;
        begin_rows<STEP>(queries + stage * STEP * PITCH, q + token * D, query, T, (Index)H * D, D);
        begin_rows<STEP>(slopes_of_out + stage * STEP * PITCH, g + token * E, query, T, (Index)H * E, E);
        copy_async_commit();
    };
    const auto line_at = [&](int step) { return ((Index)b * H + head * shared + step / steps_of_head) * T; };
    // The next step whose queries see one of the keys, or whose queries include one that the mask lets see none at all.
    const auto find = [&](int step) {
        for (; step < steps; ++step) {
            const int query = step % steps_of_head * STEP;
            if (!causal || query + STEP > first) break;
            bool hidden = false;
            for (int i = threadIdx.x; masked && i < STEP && query + i < T; i += blockDim.x)
                hidden |= sums[line_at(step) + query + i] == -INFINITE;
            if (masked && __syncthreads_or(hidden)) break;
        }
        return step;
    };

    begin_rows<OWN>(keys, k + ((Index)b * S * K + head) * D, first, S, (Index)K * D, D);
    begin_rows<OWN>(values, v + ((Index)b * S * K + head) * E, first, S, (Index)K * E, E);
    copy_async_commit();
    Sums<HEAD, false> result = {};
    int step = find(0);
    if (step < steps) begin(step, 0);
    for (int stage = 0; step < steps; stage = 1 - stage) {
        const int next = find(step + 1), query = step % steps_of_head * STEP;
        typedef Sums<STEP, true> Scores;
        const Seen seen(mask, b, head * shared + step / steps_of_head, GIVEN_SIZES);
        const unsigned bits = for_keys ? 0 : seen.bits<Scores, STEP, ROWS, true>(query, first + warp * ROWS);
        copy_async_wait<0>();
        __syncthreads();  // this step has arrived, and no thread reads the last one any more
        if (next < steps) begin(next, 1 - stage);
        const Real* const of_queries = queries + stage * STEP * PITCH;
        const Real* const of_out = slopes_of_out + stage * STEP * PITCH;
        Scores scores = {};
        scores.add<HEAD, PITCH, PITCH>((for_keys ? values : keys) + warp * ROWS * PITCH, for_keys ? of_out : of_queries);
        const Index line = line_at(step) + query;
        if (!for_keys) {
            each_sum(scores, [&](int i, int r, int c) {
                const Sum sum = query + c < T ? sums[line + c] : Sum(0);
                Sum weight = bits >> i & 1 ? exp2(scores.at[i] * (scale * LOG2_E) - sum) : Sum(0);
                if (sum == -INFINITE) weight = Sum(1) / S;
                weights[r * ACROSS + c] = Real(weight);
            });
        }
        __syncthreads();  // the weights of all warps
        if (for_keys) {
            each_sum(scores, [&](int i, int r, int c) {
                const Sum weight = Sum(weights[r * ACROSS + c]);
                const bool counts = weight != 0 && query + c < T && sums[line + c] != -INFINITE;
                slopes[r * ACROSS + c] = Real(counts ? weight * (scores.at[i] - products[line + c]) : Sum(0));
            });
            __syncwarp();  // the slopes of all lanes
        }
        result.add<STEP, ACROSS, PITCH>(for_keys ? slopes : weights, for_keys ? of_queries : of_out);
        step = next;
    }
    Sum factor[LINES];
#pragma unroll
    for (int line = 0; line < LINES; ++line) factor[line] = for_keys ? scale : Sum(1);
    const int width = for_keys ? D : E;
    store_rows((for_keys ? dk : dv) + ((Index)b * S * K + head) * width, result, factor, first + warp * ROWS, S,
               (Index)K * width, width);
}
