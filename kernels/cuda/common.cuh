// Types and loops that the kernels of this folder share. Macros of the compiler choose the types:
//   GPUDL_REAL   FLOAT16, BFLOAT16, FLOAT32 or FLOAT64: the element type of arrays
//   GPUDL_INDEX  int, or long long for arrays of 2^31 elements and more
//   GPUDL_WIDTH  elements that a kernel of Packs moves at a time; 1 by default
// No C++ header is used: NVRTC, which compiles these files at run time, has none.

#define FLOAT16 1
#define BFLOAT16 2
#define FLOAT32 3
#define FLOAT64 4

#if GPUDL_REAL == FLOAT16
#include <cuda_fp16.h>
typedef __half Real;
#elif GPUDL_REAL == BFLOAT16
#include <cuda_bf16.h>
typedef __nv_bfloat16 Real;
#elif GPUDL_REAL == FLOAT32
typedef float Real;
#elif GPUDL_REAL == FLOAT64
typedef double Real;
#else
#error "GPUDL_REAL must be FLOAT16, BFLOAT16, FLOAT32 or FLOAT64"
#endif

// The type of computation: a sum in 16 bits would lose its small terms.
#if GPUDL_REAL == FLOAT64
typedef double Sum;
#else
typedef float Sum;
#endif

// The type of sums of more than a few dozen terms: a long sum of floats loses precision, and one of ones stops at 2^24.
typedef double Total;

typedef GPUDL_INDEX Index;

#ifndef GPUDL_WIDTH
#define GPUDL_WIDTH 1
#endif

// N elements that one instruction moves. Addresses must be multiples of its size.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
    T at[N];
};

// A grid-stride loop over 0 .. total-1, for any number of blocks and threads. `total` plus one step of the loop must fit in
// an Index.
#define FOR_EACH(i, total)                                                                     \
    for (Index i = blockIdx.x * (Index)blockDim.x + threadIdx.x, total_ = (total); i < total_; \
         i += (Index)gridDim.x * blockDim.x)

// The parameters of a window, last in every parameter list. Tap (a, b) of output (o, q) reads the input
// (o*SH - PH + a*DH, q*SW - PW + b*DW), which is padding where it is outside (H, W).
#define WINDOW                                                                                  \
    const Index N, const Index H, const Index W, const Index C, const Index OH, const Index OW, \
        const Index KH, const Index KW, const Index SH, const Index SW, const Index DH,         \
        const Index DW, const Index PH, const Index PW

// The four coordinates of an index into (N, A, B, C).
#define UNFLATTEN(i, A, B, n, a, b, c) \
    const Index c = i % C;             \
    const Index b = i / C % B;         \
    const Index a = i / C / B % A;     \
    const Index n = i / C / B / A

// The output whose tap `a` reads input `h` along an axis of `O` outputs, or -1.
__device__ __forceinline__ Index seen_by(Index h, Index a, Index O, Index S, Index D, Index P) {
    const Index first = h + P - a * D;
    return first >= 0 && first % S == 0 && first / S < O ? first / S : -1;
}

__device__ __forceinline__ bool inside(Index h, Index H) { return h >= 0 && h < H; }
