// Blocks run one after another; the threads of a block are fibers, and each runs until it has to wait.
#pragma once
#include <cstdio>

#include "switch.h"
#include "types.h"

inline dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

extern "C" __attribute__((weak, visibility("hidden"))) char __start_cuda_shared[], __stop_cuda_shared[];

namespace cuda_cpu {

constexpr unsigned MOST_THREADS = 1024;  // of a block
constexpr std::size_t STACK = 256 << 10;

struct Thread {
    dim3 index;
    Stack* stack = nullptr;
    bool waiting = false, done = false;
    const char* at = "";  // the word it waits at
    int line = 0;
};

struct Block {
    void (*body)(void*);  // what every thread does
    void* args;
    Thread threads[MOST_THREADS];
    unsigned count = 0;  // of its threads
    Stack stacks[MOST_THREADS];
    Stack* spare[MOST_THREADS];  // stacks without a thread
    unsigned made = 0, spares = 0;
    unsigned current = 0;  // the thread that runs
    unsigned arrived = 0;  // at __syncthreads
    unsigned generation = 0;
    int counted[2] = {};
    char* dynamic = nullptr;
    std::size_t dynamic_size = 0;
    bool failed = false;
    char error[600];
};
inline Block block;
inline Stack caller;

inline Thread& me() { return block.threads[block.current]; }

// Leave the kernel for good, with a sentence for the caller.
template <class... A>
[[noreturn]] inline void fail(const char* format, A... values) {
    block.failed = true;
    std::snprintf(block.error, sizeof block.error, format, values...);
    go(*me().stack, caller, true);
    __builtin_unreachable();
}

// Wait until another thread ends the wait.
inline void wait(const char* at, int line) {
    Thread& thread = me();
    thread.at = at;
    thread.line = line;
    thread.waiting = true;
    go(*thread.stack, caller);
}

// Calls `body(args)` once for every thread of the grid; returns null, or a sentence that says what is wrong (grid.cpp).
// `shape`: the grid, the block, the bytes of dynamic shared memory, and whether the last thread comes first.
const char* run_grid(const unsigned* shape, void (*body)(void*), void* args);

template <class T>
inline T* dynamic_shared() {
    return reinterpret_cast<T*>(block.dynamic);
}
inline bool is_shared(const void* address) {
    const char* at = static_cast<const char*>(address);
    return (at >= block.dynamic && at < block.dynamic + block.dynamic_size) ||
           (__start_cuda_shared && at >= __start_cuda_shared && at < __stop_cuda_shared);
}

inline void barrier(const char* name, int line) {
    if (++block.arrived < block.count) return wait(name, line);
    for (unsigned i = 0; i < block.count; ++i) {
        const Thread& other = block.threads[i];
        if (i != block.current && (other.line != line || other.at != name)) return wait(name, line);  // for ever
    }
    block.arrived = 0;
    block.counted[++block.generation & 1] = 0;
    for (unsigned i = 0; i < block.count; ++i) block.threads[i].waiting = false;
}

}  // namespace cuda_cpu

inline void __syncthreads(int line = __builtin_LINE()) { cuda_cpu::barrier("__syncthreads", line); }
inline int __syncthreads_count(int holds, int line = __builtin_LINE()) {
    int& counted = cuda_cpu::block.counted[cuda_cpu::block.generation & 1];
    counted += holds != 0;
    cuda_cpu::barrier("__syncthreads_count", line);
    return counted;
}
inline int __syncthreads_or(int holds, int line = __builtin_LINE()) { return __syncthreads_count(holds, line) > 0; }
inline int __syncthreads_and(int holds, int line = __builtin_LINE()) { return __syncthreads_count(!holds, line) == 0; }
