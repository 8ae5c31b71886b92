// Blocks run one after another; the threads of a block are fibers, and each runs until it has to wait.
#pragma once
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

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

inline void enter() {
    arrive(*me().stack, caller);
    block.body(block.args);
    me().done = true;
    go(*me().stack, caller, true);
}

// Wait until another thread ends the wait.
inline void wait(const char* at, int line) {
    Thread& thread = me();
    thread.at = at;
    thread.line = line;
    thread.waiting = true;
    go(*thread.stack, caller);
}

inline Stack* new_stack() {
    void* memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    Stack& stack = block.stacks[block.made++];
    stack.bottom = static_cast<char*>(memory);
    stack.size = STACK;
    return &stack;
}

// Start a thread, or go on with it, until it waits or is done.
inline void resume(unsigned number) {
    Thread& thread = block.threads[number];
    block.current = number;
    threadIdx = thread.index;
    if (!thread.stack) {
        thread.stack = block.spares ? block.spare[--block.spares] : new_stack();
        begin(*thread.stack, enter);
    }
    go(caller, *thread.stack);
    if (thread.done) block.spare[block.spares++] = thread.stack;
}

// Say where the threads are, none of which can go on.
inline void report_stuck() {
    char where[400] = "";
    std::size_t length = 0;
    unsigned returned = 0;
    for (unsigned i = 0; i < block.count; ++i) {
        const Thread& thread = block.threads[i];
        returned += thread.done;
        unsigned before = 0, same = 0;
        for (unsigned k = 0; k < block.count; ++k)
            if (!block.threads[k].done && block.threads[k].at == thread.at && block.threads[k].line == thread.line)
                ++(k < i ? before : same);
        if (!thread.done && !before && length < sizeof where - 80)
            length += std::snprintf(where + length, sizeof where - length, "%u wait at %s in line %d, ", same, thread.at,
                                    thread.line);
    }
    std::snprintf(block.error, sizeof block.error,
                  "a barrier was not reached by all: of the %u threads of block (%u, %u, %u), %s%u have returned. "
                  "Take it out of conditions that differ between threads.",
                  block.count, blockIdx.x, blockIdx.y, blockIdx.z, where, returned);
    block.failed = true;
}

// Without the sanitizer, which keeps others from writing between the variables.
__attribute__((no_sanitize("address"))) inline void fill_with_nan(char* from, const char* to) {
    while (from != to) *from++ = char(255);
}

inline void run_block(bool reverse) {
    const unsigned count = block.count;
    fill_with_nan(__start_cuda_shared, __stop_cuda_shared);
    fill_with_nan(block.dynamic, block.dynamic + block.dynamic_size);
    for (unsigned i = 0; i < count; ++i) {
        Thread& thread = block.threads[i];
        thread.stack = nullptr;
        thread.waiting = thread.done = false;
    }
    block.arrived = block.generation = 0;
    block.counted[0] = block.counted[1] = 0;
    for (unsigned left = count; left;) {
        bool moved = false;
        for (unsigned i = 0; i < count; ++i) {
            const unsigned number = reverse ? count - 1 - i : i;
            Thread& thread = block.threads[number];
            if (thread.done || thread.waiting) continue;
            resume(number);
            if (block.failed) return;
            moved = true;
            left -= thread.done;
        }
        if (!moved) return report_stuck();
    }
}

void begin_warps();  // in warp_words.h
void begin_copies();  // in tensor_words.h

// Calls `body(args)` once for every thread of the grid; returns null, or a sentence that says what is wrong.
// `shape`: the grid, the block, the bytes of dynamic shared memory, and whether the last thread comes first.
inline const char* run_grid(const unsigned* shape, void (*body)(void*), void* args) {
    const dim3 grid{shape[0], shape[1], shape[2]}, size{shape[3], shape[4], shape[5]};
    const unsigned shared = shape[6];
    const bool reverse = shape[7];
    const unsigned count = size.x * size.y * size.z;
    const unsigned long long blocks = 1ull * grid.x * grid.y * grid.z;
    gridDim = grid;
    blockDim = size;
    block.body = body;
    block.args = args;
    block.failed = false;
    block.count = count;
    for (unsigned t = 0; t < count; ++t)
        block.threads[t].index = {t % size.x, t / size.x % size.y, t / size.x / size.y};
    void* dynamic = nullptr;
    if (posix_memalign(&dynamic, 128, shared ? shared : 1)) return "there is no memory for the shared memory";
    block.dynamic = static_cast<char*>(dynamic);
    block.dynamic_size = shared;
    for (unsigned long long i = 0; i < blocks && !block.failed; ++i) {
        const unsigned long long b = reverse ? blocks - 1 - i : i;
        blockIdx = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y)};
        begin_warps();
        begin_copies();
        run_block(reverse);
    }
    free(dynamic);
    if (!block.failed) return nullptr;
    block.spares = block.made;  // whatever lies on the stacks is given up
    for (unsigned i = 0; i < block.made; ++i) block.spare[i] = &block.stacks[i];
    return block.error;
}

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
