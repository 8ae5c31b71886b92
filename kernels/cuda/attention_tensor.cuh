// Products of a warp's 16 rows on tensor cores. In one that runs across float32 lines, two lanes share a bank.
#include "fragments.cuh"

static_assert(ROWS == 16, "a warp has the rows of a fragment");
constexpr int LINES = 2, LANES = 4;  // rows of which a thread has sums, and threads that share a row

__device__ __forceinline__ int row_of(int line) { return threadIdx.x % 32 / 4 + 8 * line; }

// The sums of a warp's rows by N columns.
template <int N, bool ALONG>
struct Sums {
    static constexpr int COUNT = N / 2, NEAR = 2;
    Sum at[COUNT];

    static __device__ __forceinline__ constexpr int line(int i) { return i / 2 % 2; }
    static __device__ __forceinline__ int column(int i) { return i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2; }

    // Adds a (ROWS, K) @ b, b (N, K) if ALONG, else (K, N), with lines of B elements; those of a have A.
    template <int K, int A, int B>
    __device__ __forceinline__ void add(const Real* a, const Real* b) {
        static_assert(N % 16 == 0 && K % ONCE == 0, "whole fragments");
#pragma unroll 1  // fragments of several steps would need too many registers
        for (int k = 0; k < K; k += ONCE) {
            unsigned left[4];
            read_fragment<true, A>(left, a, 0, k, true);
#pragma unroll
            for (int j = 0; j < N; j += 16) {
                unsigned right[4];
                read_fragment<ALONG, B>(right, b, j, k, false);
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    Sum(&sums)[4] = *reinterpret_cast<Sum(*)[4]>(&at[j / 2 + 4 * half]);
                    const unsigned of[2] = {right[2 * half], right[2 * half + 1]};
                    mma(sums, left, of);
                }
            }
        }
    }
};
