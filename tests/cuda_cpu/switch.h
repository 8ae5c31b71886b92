// Leaving one stack for another, on one thread of the operating system.
#pragma once
#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#define CUDA_CPU_UCONTEXT
#endif
#ifdef CUDA_CPU_UCONTEXT
#include <ucontext.h>
#endif

namespace cuda_cpu {

#ifdef CUDA_CPU_UCONTEXT
typedef ucontext_t Place;
inline void jump(Place& from, Place& to) { swapcontext(&from, &to); }
inline void begin_at(Place& place, char* stack, std::size_t size, void (*entry)()) {
    getcontext(&place);
    place.uc_stack.ss_sp = stack;
    place.uc_stack.ss_size = size;
    place.uc_link = nullptr;
    makecontext(&place, entry, 0);
}
#else
typedef void* Place;  // a stack pointer, with the registers that a function must keep above it

__attribute__((naked, noinline, noipa)) static void jump(Place&, Place&) {
    asm("push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rsp, (%rdi)\n"
        "mov (%rsi), %rsp\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
        "ret");
}
inline void begin_at(Place& place, char* stack, std::size_t size, void (*entry)()) {
    void** top = reinterpret_cast<void**>(stack + size);
    *--top = nullptr;  // the return address of `entry`, which never returns
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    place = top;
}
#endif

// A stack and the place where its code goes on. The one without memory of its own is the caller's.
struct Stack {
    char* bottom = nullptr;
    std::size_t size = 0;
    Place place;
    void* fake = nullptr;  // what AddressSanitizer keeps for a stack that was left
};

// To be called first on a stack that was jumped to; `left` is the one that was left.
inline void arrive([[maybe_unused]] Stack& here, [[maybe_unused]] Stack& left) {
#ifdef __SANITIZE_ADDRESS__
    const void* bottom;
    std::size_t size;
    __sanitizer_finish_switch_fiber(here.fake, &bottom, &size);
    left.bottom = static_cast<char*>(const_cast<void*>(bottom));
    left.size = size;
#endif
}
inline void go(Stack& here, Stack& to, [[maybe_unused]] bool for_good = false) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(for_good ? nullptr : &here.fake, to.bottom, to.size);
#endif
    jump(here.place, to.place);
    arrive(here, to);
}
inline void begin(Stack& stack, void (*entry)()) {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stack.bottom, stack.size);
    stack.fake = nullptr;
#endif
    begin_at(stack.place, stack.bottom, stack.size, entry);
}

}  // namespace cuda_cpu
