// A block's tile of sums, out (M, N) = a (M, K) @ b (K, N), from whatever arrays a and b are gathered. Macros choose it:
//   GPUDL_TENSOR           whether tensor cores multiply
//   GPUDL_TILE_M, _N, _K   rows and columns that a block computes, and terms of each sum per step
//   GPUDL_PART_M, _N       rows and columns of it that a warp (with tensor cores) or a thread (without) computes
//   GPUDL_STAGES           steps in shared memory at a time, with tensor cores
//   GPUDL_PACK_A, _B       elements of an operand that a thread loads at a time

constexpr int TILE_M = GPUDL_TILE_M, TILE_N = GPUDL_TILE_N, TILE_K = GPUDL_TILE_K;
constexpr int PART_M = GPUDL_PART_M, PART_N = GPUDL_PART_N;
constexpr int THREADS = TILE_M / PART_M * (TILE_N / PART_N) * (GPUDL_TENSOR ? 32 : 1);

// As many blocks share a multiprocessor as fit in its 65536 registers with 128 per thread: `tiles.py` relies on this.
constexpr int BLOCKS = 65536 / (128 * THREADS);

#include "factors.cuh"
#include "epilogue.cuh"
#if GPUDL_TENSOR
#include "tile_tensor.cuh"
#else
#include "tile_plain.cuh"
#endif
