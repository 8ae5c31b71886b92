// What the kernels of this folder share. Macros given to the compiler choose the types:
//   GPUDL_BITS   16, 32 or 64: the size of a Real
//   GPUDL_INDEX  int, or long long for arrays of 2^31 elements and more
// No header of C++ is used: NVRTC, which compiles these files at run time, has none.

#if GPUDL_BITS == 16
#include <cuda_fp16.h>
typedef __half Real;
typedef float Sum;  // a float16 sum would lose its small terms
#elif GPUDL_BITS == 32
typedef float Real;
typedef float Sum;
#elif GPUDL_BITS == 64
typedef double Real;
typedef double Sum;
#else
#error "GPUDL_BITS must be 16, 32 or 64"
#endif

typedef GPUDL_INDEX Index;

// Any number of blocks and threads covers all of 0 .. total-1. `total` must leave room in an Index for
// one step of the loop.
#define FOR_EACH(i, total)                                                                     \
    for (Index i = blockIdx.x * (Index)blockDim.x + threadIdx.x, total_ = (total); i < total_; \
         i += (Index)gridDim.x * blockDim.x)

// The window's numbers, last in every parameter list. Output (o, q) and tap (a, b) look at the input
// (o*SH - PH + a*DH, q*SW - PW + b*DW), which is padding where it lies outside (H, W).
#define WINDOW                                                                                  \
    const Index N, const Index H, const Index W, const Index C, const Index OH, const Index OW, \
        const Index KH, const Index KW, const Index SH, const Index SW, const Index DH,         \
        const Index DW, const Index PH, const Index PW

// The four positions that an index into (N, A, B, C) stands for.
#define UNFLATTEN(i, A, B, n, a, b, c) \
    const Index c = i % C;             \
    const Index b = i / C % B;         \
    const Index a = i / C / B % A;     \
    const Index n = i / C / B / A

// The output whose tap `a` looks at input `h` along an axis of `O` outputs, or -1.
__device__ __forceinline__ Index seen_by(Index h, Index a, Index O, Index S, Index D, Index P) {
    const Index first = h + P - a * D;
    return first >= 0 && first % S == 0 && first / S < O ? first / S : -1;
}

__device__ __forceinline__ bool inside(Index h, Index H) { return h >= 0 && h < H; }
