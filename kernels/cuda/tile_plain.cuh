// The sums of a tile without tensor cores. Both operands are in shared memory with a line for each k, double-buffered: while one
// step is multiplied, the next one is loaded through registers. A thread computes PART_M x PART_N sums, in groups of NEAR.
//
// A warp is 4 x 8 threads: for each k it reads 4 groups of a and 8 of b, which are broadcast. Groups are 16 bytes and adjacent,
// so that there are no bank conflicts. An operand that is contiguous along k is transposed when it is stored: its lines are 16
// bytes longer than the tile, so that the 4 k of a pack and the rows of a warp fall on different banks (two-way conflicts with
// TILE_K = 16 and more).

constexpr int NEAR_M = PART_M * sizeof(Sum) < 16 ? PART_M : 16 / sizeof(Sum);
constexpr int NEAR_N = PART_N * sizeof(Sum) < 16 ? PART_N : 16 / sizeof(Sum);
constexpr int SPACE = 16 / sizeof(Sum);
constexpr int WIDTH_OUT = NEAR_N;

// A gatherer's packs of one step, in registers.
template <class G>
struct InRegisters {
    typedef typename G::S S;
    static constexpr int V = S::V;
    Pack<Real, V> packs[S::PASSES];

    __device__ __forceinline__ void fetch(G& from) {
        from.each([&](int pass, Index offset, bool exists) {
            if (exists)
                packs[pass] = *reinterpret_cast<const Pack<Real, V>*>(from.x + offset);
            else
#pragma unroll
                for (int i = 0; i < V; ++i) packs[pass].at[i] = Real(0.f);
        });
    }

    template <int LENGTH>
    __device__ __forceinline__ void keep(Sum (&tile)[TILE_K][LENGTH]) const {
        EACH_PASS(pass) {
            Pack<Sum, V> sums;
#pragma unroll
            for (int i = 0; i < V; ++i) sums.at[i] = Sum(packs[pass].at[i]);
            if constexpr (G::ALONG_K) {
#pragma unroll
                for (int i = 0; i < V; ++i) tile[S::along() + i][S::line(pass)] = sums.at[i];
            } else
                *reinterpret_cast<Pack<Sum, V>*>(&tile[S::line(pass)][S::along()]) = sums;
        }
    }
};

// The position of a thread's sum `i` along an axis: group `me` of the first `all` groups, then every `all` groups.
template <int NEAR>
__device__ __forceinline__ int position(int i, int me, int all) {
    return (i / NEAR * all + me) * NEAR + i % NEAR;
}

template <int PART, int NEAR, int LENGTH>
__device__ __forceinline__ void read(Sum (&part)[PART], const Sum (&line)[LENGTH], int me, int all) {
#pragma unroll
    for (int i = 0; i < PART; i += NEAR) {
        const Pack<Sum, NEAR> group = *reinterpret_cast<const Pack<Sum, NEAR>*>(&line[position<NEAR>(i, me, all)]);
#pragma unroll
        for (int j = 0; j < NEAR; ++j) part[i + j] = group.at[j];
    }
}

template <class A, class B, class Out>
__device__ __forceinline__ void multiply(A& a, B& b, const Place& place, const Out& out) {
    constexpr int DOWN = TILE_M / PART_M, RIGHT = TILE_N / PART_N;  // threads of the block
    static_assert(DOWN % 4 == 0 && RIGHT % 8 == 0, "a warp is 4 x 8 threads");
    __shared__ alignas(16) Sum left[2][TILE_K][TILE_M + SPACE];
    __shared__ alignas(16) Sum right[2][TILE_K][TILE_N + SPACE];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int y = warp / (RIGHT / 8) * 4 + lane / 8, x = warp % (RIGHT / 8) * 8 + lane % 8;

    Sum sums[PART_M][PART_N] = {};
    InRegisters<A> next_a;
    InRegisters<B> next_b;
    if (place.steps > 0) {
        next_a.fetch(a);
        next_b.fetch(b);
        next_a.keep(left[0]);
        next_b.keep(right[0]);
    }
    for (int step = 0; step < place.steps; ++step) {
        const int now = step % 2;
        const bool more = step + 1 < place.steps;
        __syncthreads();  // this step has arrived, and no thread reads the previous one any more
        if (more) {
            next_a.fetch(a);
            next_b.fetch(b);
        }
#pragma unroll
        for (int k = 0; k < TILE_K; ++k) {
            Sum of_a[PART_M], of_b[PART_N];
            read<PART_M, NEAR_M>(of_a, left[now][k], y, DOWN);
            read<PART_N, NEAR_N>(of_b, right[now][k], x, RIGHT);
#pragma unroll
            for (int i = 0; i < PART_M; ++i)
#pragma unroll
                for (int j = 0; j < PART_N; ++j) sums[i][j] += of_a[i] * of_b[j];
        }
        if (more) {
            next_a.keep(left[1 - now]);
            next_b.keep(right[1 - now]);
        }
    }
#pragma unroll
    for (int i = 0; i < PART_M; ++i)
#pragma unroll
        for (int j = 0; j < PART_N; j += WIDTH_OUT) {
            Sum near[WIDTH_OUT];
#pragma unroll
            for (int w = 0; w < WIDTH_OUT; ++w) near[w] = sums[i][j + w];
            out.put(place.m + position<NEAR_M>(i, y, DOWN), place.n + position<NEAR_N>(j, x, RIGHT), near);
        }
}
