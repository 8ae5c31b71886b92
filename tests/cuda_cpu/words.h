// CUDA's words, so that a .cu file compiles as C++ and its kernels run on the CPU, one block after another.
//
// It shows wrong indices, overflows, misaligned and out-of-bounds accesses, barriers that some threads do not reach, and,
// by running the threads of a block in two orders, barriers that are missing. It does not show how fast a kernel is.
#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

#define __global__ __attribute__((used, noinline))
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __align__(bytes) __attribute__((aligned(bytes)))
// `__shared__` and `__launch_bounds__` are not here: cuda_cpu looks at them in the text, and rewrites them.

#include "types.h"
#include "math_words.h"
#include "fibers.h"
#include "warp_words.h"
#include "tensor_words.h"

#define __noinline__ __attribute__((noinline))  // only here: headers use the word themselves

namespace cuda_cpu {

// What `__launch_bounds__(threads, blocks)` says of threads.
template <class... Rest>
constexpr unsigned first(unsigned threads, Rest...) {
    return threads;
}

// As the driver's launch does: `args` holds the address of every argument. `shape` is run_grid's.
template <auto kernel, class... P, std::size_t... I>
const char* launch(void (*)(P...), const unsigned* shape, void** args, std::index_sequence<I...>) {
    auto body = [](void* given) { kernel(*static_cast<std::remove_const_t<P>*>(static_cast<void**>(given)[I])...); };
    return run_grid(shape, body, args);
}
template <auto kernel, class... P>
const char* launch(void (*same)(P...), const unsigned* shape, void** args) {
    return launch<kernel>(same, shape, args, std::index_sequence_for<P...>());
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
    else if constexpr (std::is_same_v<P, bool>)
        return '?';
    else
        return std::is_unsigned_v<P> ? " B H   I       Q"[2 * sizeof(P) - 1] : " b h   i       q"[2 * sizeof(P) - 1];
}
template <class... P>
const char* letters(void (*)(P...)) {
    static const char text[] = {letter<P>()..., 0};
    return text;
}

}  // namespace cuda_cpu
