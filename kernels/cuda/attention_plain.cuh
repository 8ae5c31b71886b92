// Products of a warp's rows without tensor cores. A warp is 4 x 8 threads: it reads 4 rows of the left operand at a time and 8
// lines of the right one, 16 bytes of each, which are in different banks.

constexpr int LINES = ROWS / 4, LANES = 8;  // rows of which a thread has sums, and threads that share a row
constexpr int ONCE = sizeof(Sum) == 8 ? 2 : 4;  // terms that a thread reads at a time

__device__ __forceinline__ int row_of(int line) { return threadIdx.x % 32 / 8 + 4 * line; }

template <int N>
__device__ __forceinline__ Pack<Sum, N> read_pack(const Real* from) {
    const Pack<Real, N> pack = *reinterpret_cast<const Pack<Real, N>*>(from);
    Pack<Sum, N> sums;
#pragma unroll
    for (int i = 0; i < N; ++i) sums.at[i] = Sum(pack.at[i]);
    return sums;
}

// The sums of a warp's rows by N columns.
template <int N, bool ALONG>
struct Sums {
    static constexpr int EACH = N / 8, COUNT = LINES * EACH;         // columns of a thread, and its sums
    static constexpr int NEAR = ALONG ? 1 : EACH < ONCE ? EACH : ONCE;  // adjacent columns
    Sum at[COUNT];

    static __device__ __forceinline__ constexpr int line(int i) { return i / EACH; }
    static __device__ __forceinline__ int column(int i) {
        return (i % EACH / NEAR * 8 + threadIdx.x % 8) * NEAR + i % NEAR;
    }

    // Adds a (ROWS, K) @ b, b (N, K) if ALONG, else (K, N), with lines of B elements; those of a have A.
    template <int K, int A, int B>
    __device__ __forceinline__ void add(const Real* a, const Real* b) {
        static_assert(N % 8 == 0 && K % ONCE == 0, "whole packs");
#pragma unroll 1
        for (int k = 0; k < K; k += ONCE) {
            Pack<Sum, ONCE> left[LINES];
#pragma unroll
            for (int line = 0; line < LINES; ++line) left[line] = read_pack<ONCE>(a + row_of(line) * A + k);
            if constexpr (ALONG) {
#pragma unroll
                for (int c = 0; c < EACH; ++c) {
                    const Pack<Sum, ONCE> right = read_pack<ONCE>(b + column(c) * B + k);
#pragma unroll
                    for (int line = 0; line < LINES; ++line)
#pragma unroll
                        for (int s = 0; s < ONCE; ++s) at[line * EACH + c] += left[line].at[s] * right.at[s];
                }
            } else {
#pragma unroll
                for (int s = 0; s < ONCE; ++s)
#pragma unroll
                    for (int c = 0; c < EACH; c += NEAR) {
                        const Pack<Sum, NEAR> right = read_pack<NEAR>(b + (k + s) * B + column(c));
#pragma unroll
                        for (int line = 0; line < LINES; ++line)
#pragma unroll
                            for (int j = 0; j < NEAR; ++j) at[line * EACH + c + j] += left[line].at[s] * right.at[j];
                    }
            }
        }
    }
};
