// CUDA's words, so that a .cu file compiles as C++ and its kernels run on the CPU, one block after another.
//
// The threads of a block run one after another too, unless CUDA_THREADS is defined: then they are real
// threads, and barriers and shuffles work (every thread of the block must reach them). It shows wrong
// indices, overflows and accesses out of bounds; it does not show races, divergence or alignment faults.
#pragma once
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
#define __shared__ static  // blocks run one after another, so one copy will do

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

static thread_local dim3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;

static inline float __int_as_float(int bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T>
T atomicAdd(T* at, T value) {
    return std::atomic_ref<T>(*at).fetch_add(value);
}
template <class T>
T atomicMax(T* at, T value) {
    std::atomic_ref<T> ref(*at);
    T old = ref.load();
    while (old < value && !ref.compare_exchange_weak(old, value)) {
    }
    return old;
}

#ifdef CUDA_THREADS
#include <barrier>
#include <thread>
#include <vector>

static std::barrier<>* block_barrier;
static double shuffled[1024];

static inline void __syncthreads() { block_barrier->arrive_and_wait(); }

template <class T>
T shuffle_from(T value, unsigned lane) {
    const unsigned me = threadIdx.x, from = me / 32 * 32 + lane;
    shuffled[me] = value;
    __syncthreads();
    const T result = lane < 32 && from < blockDim.x ? T(shuffled[from]) : value;
    __syncthreads();
    return result;
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
    return shuffle_from(value, lane);
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned by) {
    return shuffle_from(value, threadIdx.x % 32 + by);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return shuffle_from(value, threadIdx.x % 32 ^ mask);
}
#endif

// Calls `thread` once for every thread of the grid, with threadIdx and blockIdx set.
template <class F>
void run_grid(dim3 grid, dim3 block, F thread) {
    gridDim = grid;
    blockDim = block;
    for (unsigned b = 0; b < grid.x * grid.y * grid.z; ++b) {
        const dim3 here{b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
        const unsigned threads = block.x * block.y * block.z;
        auto one = [&](unsigned t) {
            blockIdx = here;
            threadIdx = {t % block.x, t / block.x % block.y, t / block.x / block.y};
            thread();
        };
#ifdef CUDA_THREADS
        std::barrier<> barrier(threads);
        block_barrier = &barrier;
        std::vector<std::jthread> team;
        for (unsigned t = 0; t < threads; ++t)
            team.emplace_back([&, t] {
                one(t);
                barrier.arrive_and_drop();
            });
#else
        for (unsigned t = 0; t < threads; ++t) one(t);
#endif
    }
}

// As the driver's launch does: `args` holds the address of every argument.
template <class... P, std::size_t... I>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, void** args, std::index_sequence<I...>) {
    run_grid(grid, block, [&] { kernel(*static_cast<std::remove_const_t<P>*>(args[I])...); });
}

// One letter a parameter: r a pointer to read from, w one to write to, else NumPy's letter of the scalar.
template <class P>
constexpr char letter() {
    if constexpr (std::is_pointer_v<P>)
        return std::is_const_v<std::remove_pointer_t<P>> ? 'r' : 'w';
    else if constexpr (std::is_same_v<P, float>)
        return 'f';
    else if constexpr (std::is_same_v<P, double>)
        return 'd';
    else
        return std::is_unsigned_v<P> ? " B H   I       Q"[2 * sizeof(P) - 1] : " b h   i       q"[2 * sizeof(P) - 1];
}
template <class... P>
const char* letters(void (*)(P...)) {
    static const char text[] = {letter<P>()..., 0};
    return text;
}
template <class... P>
auto count(void (*)(P...)) {
    return std::index_sequence_for<P...>();
}

#define EXPORT(kernel)                                                              \
    extern "C" const char* letters_##kernel() { return letters(kernel); }           \
    extern "C" void launch_##kernel(const unsigned* shape, void** args) {           \
        launch(kernel, {shape[0], shape[1], shape[2]}, {shape[3], shape[4], shape[5]}, args, count(kernel)); \
    }
