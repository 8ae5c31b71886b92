// The position of a block's tile, and how its sums are stored.

#include "activated.cuh"

// The tile of the (M, N) sums that a block computes begins at (m, n), and its `steps` steps along K at k. The blocks along x
// have different tiles. Where there are several along y they split K (split-K): each writes partial sums, which another kernel
// adds up, always in the same order.
struct Place {
    Index m, n, k;
    int steps;

    __device__ __forceinline__ Place(Index N, Index K) {
        const Index across = (N + TILE_N - 1) / TILE_N, all = (K + TILE_K - 1) / TILE_K;
        const Index first = (long long)all * blockIdx.y / gridDim.y;
        m = blockIdx.x / across * TILE_M;
        n = blockIdx.x % across * TILE_N;
        k = first * TILE_K;
        steps = (long long)all * (blockIdx.y + 1) / gridDim.y - first;
    }
};

// The out (..., N), or its `size` partial sums. W adjacent elements are stored at a time, by one instruction where possible.
template <int W, class Offset>
struct Result {
    Real* out;
    Sum* partial;
    const Real* bias;
    Index N;
    Offset offset;  // offset of a row's first element, negative for a row that does not exist
    bool packed;

    __device__ __forceinline__ Result(Real* out, Sum* partial, const Real* bias, Index size, Index N, Offset offset)
        : out(out), partial(partial + blockIdx.y * (size_t)size), bias(bias), N(N), offset(offset) {
        packed = N % W == 0 && (size_t)out % (W * sizeof(Real)) == 0;
    }

    __device__ __forceinline__ void put(Index row, Index n, const Sum (&sums)[W]) const {
        const Index start = offset(row);
        if (start < 0 || n >= N) return;
        if (gridDim.y > 1)
            store(partial + start + n, n, [&](int i) { return sums[i]; });
        else
            store(out + start + n, n, [&](int i) { return finished(sums[i], bias, n + i); });
    }

    template <class T, class Value>
    __device__ __forceinline__ void store(T* to, Index n, Value value) const {
        if (packed) {
            Pack<T, W> pack;
#pragma unroll
            for (int i = 0; i < W; ++i) pack.at[i] = value(i);
            *reinterpret_cast<Pack<T, W>*>(to) = pack;
        } else {
#pragma unroll
            for (int i = 0; i < W; ++i)
                if (n + i < N) to[i] = value(i);
        }
    }
};

template <int W, class Offset>
__device__ __forceinline__ Result<W, Offset> result(Real* out, Sum* partial, const Real* bias, Index size, Index N,
                                                    Offset offset) {
    return Result<W, Offset>(out, partial, bias, size, N, offset);
}

// The rows of a contiguous matrix (M, N).
struct RowByRow {
    Index M, N;
    __device__ __forceinline__ Index operator()(Index row) const { return row < M ? row * N : -1; }
};
