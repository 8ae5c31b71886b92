// How the threads of a block load the two operands of a tile, step by step of TILE_K along k.
// An operand's part of a step is LINES lines of LENGTH contiguous elements: along k, with a line for each row (or column) of the
// tile, or across it, with a line for each k. Threads load packs of V elements; a pack is entirely inside or outside the operand.
//
// Each gatherer's `each(put)` calls put(pass, offset, exists) for every pack of this thread, which is at x + offset if it exists
// and zeros otherwise, and then advances to the next step. Conditions are combined with & to avoid branches.

template <int LINES_, int LENGTH_, int V_>
struct Share {
    static constexpr int LINES = LINES_, LENGTH = LENGTH_, V = V_;
    static constexpr int PACKS = LENGTH / V, APART = THREADS / PACKS, PASSES = (LINES + APART - 1) / APART;
    static_assert(LENGTH % V == 0 && THREADS % PACKS == 0, "packs and threads must share out a line");

    static __device__ __forceinline__ int along() { return threadIdx.x % PACKS * V; }
    static __device__ __forceinline__ int line(int pass) { return threadIdx.x / PACKS + pass * APART; }
    static __device__ __forceinline__ bool has(int pass) { return LINES % APART == 0 || line(pass) < LINES; }
};

template <int LINES, int V>
struct Along : Share<LINES, TILE_K, V> {
    static constexpr bool ALONG_K = true;
};
template <int LENGTH, int V>
struct Across : Share<TILE_K, LENGTH, V> {
    static constexpr bool ALONG_K = false;
};

#define EACH_PASS(pass) _Pragma("unroll") for (int pass = 0; pass < S::PASSES; ++pass) if (S::has(pass))

// Element (row, k) of a matrix (ROWS, K).
template <int LINES, int V>
struct MatrixAlong : Along<LINES, V> {
    typedef Along<LINES, V> S;
    const Real* x;
    Index row, ROWS, K, k;

    __device__ __forceinline__ MatrixAlong(const Real* x, Index first, Index k, Index ROWS, Index K)
        : x(x), row(first + S::line(0)), ROWS(ROWS), K(K), k(k + S::along()) {}

    template <class Put>
    __device__ __forceinline__ void each(Put put) {
        EACH_PASS(pass) put(pass, (row + pass * S::APART) * K + k, (row + pass * S::APART < ROWS) & (k < K));
        k += TILE_K;
    }
};

// Element (k, column) of a matrix (K, COLUMNS).
template <int LENGTH, int V>
struct MatrixAcross : Across<LENGTH, V> {
    typedef Across<LENGTH, V> S;
    const Real* x;
    Index column, K, COLUMNS, k;

    __device__ __forceinline__ MatrixAcross(const Real* x, Index first, Index k, Index K, Index COLUMNS)
        : x(x), column(first + S::along()), K(K), COLUMNS(COLUMNS), k(k + S::line(0)) {}

    template <class Put>
    __device__ __forceinline__ void each(Put put) {
        EACH_PASS(pass) {
            const Index row = k + pass * S::APART;
            put(pass, row * COLUMNS + column, (row < K) & (column < COLUMNS));
        }
        k += TILE_K;
    }
};

// The coordinates of k in (A, B, C): tap (a, b) and channel c.
struct Tap {
    Index a, b, c, B, C;

    __device__ __forceinline__ Tap(Index k, Index B, Index C)
        : a(C && B ? k / C / B : 0), b(C && B ? k / C % B : 0), c(C && B ? k % C : 0), B(B), C(C) {}

    __device__ __forceinline__ void advance(Index by) {
        for (c += by; c >= C; c -= C)
            if (++b == B) b = 0, ++a;
    }
};

// The A * B taps of a window, each (DH, DW) from the next.
struct Taps {
    Index A, B, DH, DW;
};

// Whether 0 <= h < H, in one comparison.
__device__ __forceinline__ bool within(int h, int H) { return (unsigned)h < (unsigned)H; }
__device__ __forceinline__ bool within(long long h, long long H) { return (unsigned long long)h < (unsigned long long)H; }

// What tap (0, 0) of a row of the tile reads: (h, w) of an image, and the offset that this has or would have.
struct alignas(16) Row {
    Index at;
    int h, w;
};

// Rows first, ... of (N, P, Q) begin at (p*SH + h, q*SW + w) of images (N, H, W, C). Those past the end read nothing.
__device__ __forceinline__ void find_rows(Row* rows, Index first, Index N, Index P, Index Q, Index SH, Index SW, Index h,
                                          Index w, Index H, Index W, Index C) {
    for (int i = threadIdx.x; i < TILE_M; i += THREADS) {
        const Index row = first + i, n = row / Q / P;
        const Index down = row / Q % P * SH + h, right = row % Q * SW + w;
        rows[i] = n < N ? Row{((n * H + down) * W + right) * C, int(down), int(right)} : Row{0, -(1 << 30), 0};
    }
    __syncthreads();
}

// Element (row, (a, b, c)): the windows of images (N, H, W, C) as rows.
template <int V>
struct WindowsAlong : Along<TILE_M, V> {
    typedef Along<TILE_M, V> S;
    const Real* x;
    const Row* rows;
    Tap tap;
    Taps taps;
    Index H, W;

    __device__ __forceinline__ WindowsAlong(const Real* x, const Row* rows, Index k, Taps taps, Index H, Index W, Index C)
        : x(x), rows(rows), tap(k + S::along(), taps.B, C), taps(taps), H(H), W(W) {}

    template <class Put>
    __device__ __forceinline__ void each(Put put) {
        const Index down = tap.a * taps.DH, right = tap.b * taps.DW, further = (down * W + right) * tap.C + tap.c;
        const bool exists = tap.a < taps.A;
        EACH_PASS(pass) {
            const Row row = rows[S::line(pass)];
            put(pass, row.at + further, exists & within(row.h + down, H) & within(row.w + right, W));
        }
        tap.advance(TILE_K);
    }
};

// Division of integers below 2^31 by an invariant, as a product and a shift: with 2^(s-1) < by <= 2^s and
// factor = 2^(31+s) / by + e, 0 < e <= 1, the quotient is too large by less than n / 2^(31+s) < 1 / by.
// (T. Granlund, P. L. Montgomery: Division by invariant integers using multiplication, 1994.)
struct Divisor {
    unsigned by, factor;
    int shift;

    __device__ __forceinline__ explicit Divisor(int by) : by(by), shift(31) {
        while (1u << (shift - 31) < this->by) ++shift;
        factor = by ? (1ull << shift) / by + 1 : 0;
    }
    __device__ __forceinline__ int of(int n) const { return ((unsigned long long)(unsigned)n * factor) >> shift; }
    __device__ __forceinline__ long long of(long long n) const { return by ? n / by : 0; }
};

// Element (k, (a, b, c)): the same with the windows (N, OH, OW) along k.
template <int V>
struct WindowsAcross : Across<TILE_M, V> {
    typedef Across<TILE_M, V> S;
    const Real* x;
    Index k, K, h, w, c, SH, SW, OH, OW, H, W, C;
    Divisor by_row, by_image;
    bool exists;

    __device__ __forceinline__ WindowsAcross(const Real* x, Index first, Index k, WINDOW)
        : x(x), k(k + S::line(0)), K(N * OH * OW), SH(SH), SW(SW), OH(OH), OW(OW), H(H), W(W), C(C), by_row(OW), by_image(OH) {
        const Tap tap(first + S::along(), KW, C);
        exists = tap.a < KH;
        h = tap.a * DH - PH;
        w = tap.b * DW - PW;
        c = tap.c;
    }

    template <class Put>
    __device__ __forceinline__ void each(Put put) {
        EACH_PASS(pass) {
            const Index window = k + pass * S::APART, row = by_row.of(window), n = by_image.of(row);
            const Index down = (row - n * OH) * SH + h, right = (window - row * OW) * SW + w;
            put(pass, ((n * H + down) * W + right) * C + c, exists & (window < K) & within(down, H) & within(right, W));
        }
        k += TILE_K;
    }
};
