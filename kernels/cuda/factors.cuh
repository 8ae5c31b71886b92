// How the threads of a block bring the two factors of a tile's sums, one step of TILE_K products after another.
// A factor's part of a step is LINES lines of LENGTH elements that lie side by side in memory: along k, with a line for each row
// (or column) of the tile, or across it, with a line for each k. Threads move packs of V elements; a pack is wholly inside or outside.
//
// Each gatherer's `each(put)` calls put(pass, address) for every pack of this thread, with a null address for zeros, and goes on to
// the next step. Products between the steps of a block's neighbours are never computed twice: see `Place`.

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
    Index first, ROWS, K, k;

    __device__ __forceinline__ MatrixAlong(const Real* x, Index first, Index k, Index ROWS, Index K)
        : x(x), first(first), ROWS(ROWS), K(K), k(k + S::along()) {}

    template <class Put>
    __device__ __forceinline__ void each(Put put) {
        EACH_PASS(pass) {
            const Index row = first + S::line(pass);
            put(pass, row < ROWS && k < K ? x + row * K + k : nullptr);
        }
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
        : x(x), column(first + S::along()), K(K), COLUMNS(COLUMNS), k(k) {}

    template <class Put>
    __device__ __forceinline__ void each(Put put) {
        EACH_PASS(pass) {
            const Index row = k + S::line(pass);
            put(pass, row < K && column < COLUMNS ? x + row * COLUMNS + column : nullptr);
        }
        k += TILE_K;
    }
};

// Where k stands in (A, B, C): at tap (a, b) and channel c.
struct Tap {
    Index a, b, c, B, C;

    __device__ __forceinline__ Tap(Index k, Index B, Index C)
        : a(C && B ? k / C / B : 0), b(C && B ? k / C % B : 0), c(C && B ? k % C : 0), B(B), C(C) {}

    __device__ __forceinline__ void advance(Index by) {
        for (c += by; c >= C; c -= C)
            if (++b == B) b = 0, ++a;
    }
};

// Taps that an image is looked at through, along both axes: A * B of them, from one to the next (DH, DW) further.
struct Taps {
    Index A, B, DH, DW;
};

// Where a row of the tile stands: its image's first element, and what its tap (0, 0) looks at.
struct alignas(16) Row {
    Index image;
    int h, w;
};

// Rows first ... of (N, P, Q) look at (p*SH + h, q*SW + w) of images (N, H, W, C). Those past the end look at nothing.
__device__ __forceinline__ void find_rows(Row* rows, Index first, Index N, Index P, Index Q, Index SH, Index SW, Index h, Index w,
                                          Index size) {
    for (int i = threadIdx.x; i < TILE_M; i += THREADS) {
        const Index row = first + i, q = row % Q, p = row / Q % P, n = row / Q / P;
        rows[i] = Row{n < N ? n * size : 0, n < N ? int(p * SH + h) : -(1 << 30), int(q * SW + w)};
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
        const Index down = tap.a * taps.DH, right = tap.b * taps.DW;
        EACH_PASS(pass) {
            const Row row = rows[S::line(pass)];
            const Index h = row.h + down, w = row.w + right;
            const bool seen = tap.a < taps.A && inside(h, H) && inside(w, W);
            put(pass, seen ? x + row.image + (h * W + w) * tap.C + tap.c : nullptr);
        }
        tap.advance(TILE_K);
    }
};

// Element (k, (a, b, c)): the same with the windows (N, OH, OW) along k.
template <int V>
struct WindowsAcross : Across<TILE_M, V> {
    typedef Across<TILE_M, V> S;
    const Real* x;
    Index left, h, w, SH, SW, OH, OW, H, W, C, size;
    Index o, q;  // the window of this thread's next pack
    bool exists;

    __device__ __forceinline__ WindowsAcross(const Real* image, Index first, Index k, WINDOW)
        : x(image), left(N * OH * OW - k - S::line(0)), SH(SH), SW(SW), OH(OH), OW(OW), H(H), W(W), C(C), size(H * W * C) {
        const Tap tap(first + S::along(), KW, C);
        exists = C && tap.a < KH;
        h = tap.a * DH - PH;
        w = tap.b * DW - PW;
        const Index window = k + S::line(0), row = OW ? window / OW : 0;
        q = window - row * OW;
        o = OH ? row % OH : 0;
        x += (OH ? row / OH : 0) * size + tap.c;
    }

    __device__ __forceinline__ void advance(int by) {
        left -= by;
        for (q += by; q >= OW; q -= OW)
            if (++o == OH) o = 0, x += size;
    }

    template <class Put>
    __device__ __forceinline__ void each(Put put) {
        EACH_PASS(pass) {
            const Index row = o * SH + h, column = q * SW + w;
            const bool seen = exists && left > 0 && inside(row, H) && inside(column, W);
            put(pass, seen ? x + (row * W + column) * C : nullptr);
            if (pass + 1 < S::PASSES) advance(S::APART);
        }
        advance(TILE_K - (S::PASSES - 1) * S::APART);
    }
};
