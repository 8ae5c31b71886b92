// Running a grid: what every kernel needs, and is compiled once for all of them.
#include <sys/mman.h>

#include <cstdlib>

#include "words.h"

namespace cuda_cpu {

static void enter() {
    arrive(*me().stack, caller);
    block.body(block.args);
    me().done = true;
    go(*me().stack, caller, true);
}

static Stack* new_stack() {
    void* memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    Stack& stack = block.stacks[block.made++];
    stack.bottom = static_cast<char*>(memory);
    stack.size = STACK;
    return &stack;
}

// Start a thread, or go on with it, until it waits or is done.
static void resume(unsigned number) {
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
static void report_stuck() {
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
__attribute__((no_sanitize("address"))) static void fill_with_nan(char* from, const char* to) {
    while (from != to) *from++ = char(255);
}

static void run_block(bool reverse) {
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

const char* run_grid(const unsigned* shape, void (*body)(void*), void* args) {
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

}  // namespace cuda_cpu
