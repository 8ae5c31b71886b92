// Copies to shared memory that arrive later.
#include "mma.cuh"

constexpr int UNIT = 16 / sizeof(Real);  // elements of 16 bytes

// Begins to copy V elements, or zeros where they do not exist; `from` is then not read.
template <int V>
__device__ __forceinline__ void copy_pack(Real* to, const Real* from, bool exists) {
    if constexpr (V * sizeof(Real) == 16)
        copy_async_16(to, from, exists);
    else if constexpr (V * sizeof(Real) == 4)
        copy_async_4(to, from, exists);
    else {
#pragma unroll
        for (int i = 0; i < V; ++i) to[i] = exists ? from[i] : Real(0.f);
    }
}
