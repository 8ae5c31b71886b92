// Sums and maxima over the threads of a warp or a block, always in the same order.
// Every thread of the block must call them; a block is up to 32 whole warps along x. All threads get the result.
// With `lanes`, a power of 2, a warp is divided into groups of `lanes` adjacent threads, each with a result of its own.

#define WARP 32
#define ALL_LANES 0xffffffffu
#define LEAST Sum(-__int_as_float(0x7f800000))  // minus infinity

__device__ __forceinline__ Sum greater_of(Sum a, Sum b) { return a > b || a != a ? a : b; }  // a NaN propagates

__device__ __forceinline__ Total warp_sum(Total value, int lanes = WARP) {
    for (int by = lanes / 2; by > 0; by /= 2) value += __shfl_xor_sync(ALL_LANES, value, by);
    return value;
}

__device__ __forceinline__ Sum warp_max(Sum value, int lanes = WARP) {
    for (int by = lanes / 2; by > 0; by /= 2) value = greater_of(value, __shfl_xor_sync(ALL_LANES, value, by));
    return value;
}

#define OVER_THE_BLOCK(T, name, over_a_warp, nothing)                              \
    __device__ __forceinline__ T name(T value) {                                   \
        __shared__ T of_warp[WARP];                                                \
        value = over_a_warp(value);                                                \
        __syncthreads(); /* an earlier call may still be reading */                \
        if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = value;          \
        __syncthreads();                                                           \
        const unsigned warps = blockDim.x / WARP, lane = threadIdx.x % WARP;       \
        return over_a_warp(lane < warps ? of_warp[lane] : (nothing));              \
    }

OVER_THE_BLOCK(Total, block_sum, warp_sum, Total(0))
OVER_THE_BLOCK(Sum, block_max, warp_max, LEAST)
