// What kernels/cuda/mma.cuh makes of PTX on a GPU: tensor cores, ldmatrix and cp.async.
#pragma once
#include <cstdint>
#include <cstring>

#include "bits.h"
#include "warp_words.h"

namespace cuda_cpu {

// What a lane brings to a product, and what it gets back in d.
struct Fragments {
    float d[4];
    unsigned a[4], b[2];
};

// The value of element `part` of a register, of types of 32 and of 16 bits.
inline float tf32(unsigned bits, int) { return same_bits<float>(bits & 0xffffe000u); }
inline float half_of(unsigned bits, int part) { return __half2float(__ushort_as_half(bits >> 16 * part)); }
inline float bfloat_of(unsigned bits, int part) { return __bfloat162float(__ushort_as_bfloat16(bits >> 16 * part)); }

// d (16, 8) += a (16, K) @ b (K, 8), as fragments. With g = lane / 4 and t = lane % 4, and E elements a register (the layout
// of the PTX ISA's "matrix fragments for mma.m16n8k8 / m16n8k16"):
//   a[i]: row g + 8 * (i % 2), columns E * t + 4 * E * (i / 2) and on;  b[i]: rows E * t + 4 * E * i and on, column g
//   d[i]: row g + 8 * (i / 2), column 2 * t + i % 2
template <int E>
inline void multiply(Meeting& meeting, float (*value)(unsigned, int)) {
    constexpr int K = 8 * E;
    float a[16][K], b[K][8];
    for (int lane = 0; lane < 32; ++lane) {
        const auto mine = brought<Fragments>(meeting, lane);
        const int g = lane / 4, t = lane % 4;
        for (int part = 0; part < E; ++part) {
            for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][E * t + 4 * E * (i / 2) + part] = value(mine.a[i], part);
            for (int i = 0; i < 2; ++i) b[E * t + 4 * E * i + part][g] = value(mine.b[i], part);
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        auto mine = brought<Fragments>(meeting, lane);
        for (int i = 0; i < 4; ++i)
            for (int k = 0; k < K; ++k) mine.d[i] += a[lane / 4 + 8 * (i / 2)][k] * b[k][2 * (lane % 4) + i % 2];
        std::memcpy(meeting.brought[lane], &mine, sizeof mine);
    }
}

template <int E>
inline void mma(const char* name, int line, float (*value)(unsigned, int), float (&d)[4], const unsigned (&a)[4],
                const unsigned (&b)[2]) {
    if (warp_size() < 32) fail("%s in line %d needs all 32 lanes of a warp, this one has %u.", name, line, warp_size());
    Fragments mine;
    std::memcpy(mine.d, d, sizeof d);
    std::memcpy(mine.a, a, sizeof a);
    std::memcpy(mine.b, b, sizeof b);
    auto finish = [&](Meeting& meeting) { multiply<E>(meeting, value); };
    mine = meet(name, line, ~0u, mine, finish, [](const Meeting& m) { return brought<Fragments>(m, lane()); });
    std::memcpy(d, mine.d, sizeof d);
}

inline void check_address(const char* name, int line, const char* which, const void* address, unsigned bytes) {
    if (reinterpret_cast<std::uintptr_t>(address) % bytes)
        fail("%s in line %d: the %s address is not a multiple of %u bytes.", name, line, which, bytes);
}
inline void check_shared(const char* name, int line, const void* address, unsigned bytes) {
    check_address(name, line, "shared", address, bytes);
    if (!is_shared(address) || !is_shared(static_cast<const char*>(address) + bytes - 1))
        fail("%s in line %d: the address is not in shared memory.", name, line);
}

// r[i]: matrix i's row lane / 4, elements 2 * (lane % 4) and the next; transposed, its column lane / 4. Lane 8 * i + j brings
// the address of row j of matrix i.
template <int COUNT>
inline void load_matrix(const char* name, int line, unsigned (&r)[COUNT], const void* row, bool transposed) {
    if (lane() < 8 * COUNT) check_shared(name, line, row, 16);
    struct Rows {
        const unsigned short* of[32];
    };
    const auto rows = meet(name, line, ~0u, static_cast<const unsigned short*>(row), nothing, [](const Meeting& m) {
        Rows all;
        for (unsigned i = 0; i < 32; ++i) all.of[i] = brought<const unsigned short*>(m, i);
        return all;
    });
    const unsigned g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < COUNT; ++i) {
        const auto* of = rows.of + 8 * i;
        const unsigned low = transposed ? of[2 * t][g] : of[g][2 * t];
        const unsigned high = transposed ? of[2 * t + 1][g] : of[g][2 * t + 1];
        r[i] = high << 16 | low;
    }
    __syncwarp(~0u, line);  // nobody overwrites a row that another lane has yet to read
}

// A copy that was begun and has not arrived: its target holds NaN until the wait for its group.
struct Copy {
    void* to;
    const void* from;  // null for zeros
    unsigned bytes;
    unsigned group;
};
constexpr unsigned MOST_COPIES = 256;  // of one thread
struct Copies {
    Copy pending[MOST_COPIES];
    unsigned count;
    unsigned group;  // that the next copy belongs to
};
inline Copies copies[MOST_THREADS];

inline void begin_copies() {
    for (unsigned i = 0; i < block.count; ++i) copies[i].count = copies[i].group = 0;
}
inline Copies& my_copies() { return copies[block.current]; }
inline void begin_copy(const char* name, int line, void* to, const void* from, bool filled, unsigned bytes) {
    check_shared(name, line, to, bytes);
    check_address(name, line, "global", from, bytes);
    Copies& mine = my_copies();
    if (mine.count == MOST_COPIES) fail("%s in line %d: %u copies were begun without a wait.", name, line, mine.count);
    std::memset(to, 255, bytes);
    mine.pending[mine.count++] = {to, filled ? from : nullptr, bytes, mine.group};
}
inline void end_copies(unsigned but) {
    Copies& mine = my_copies();
    unsigned kept = 0;
    for (unsigned i = 0; i < mine.count; ++i) {
        const Copy copy = mine.pending[i];
        if (copy.group + but >= mine.group)
            mine.pending[kept++] = copy;
        else if (copy.from)
            std::memcpy(copy.to, copy.from, copy.bytes);
        else
            std::memset(copy.to, 0, copy.bytes);
    }
    mine.count = kept;
}

}  // namespace cuda_cpu

#define MMA(name, E, value)                                                                             \
    inline void name(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int line = __builtin_LINE()) { \
        cuda_cpu::mma<E>(#name, line, cuda_cpu::value, d, a, b);                                        \
    }
MMA(mma_m16n8k8_tf32, 1, tf32)
MMA(mma_m16n8k16_f16, 2, half_of)
MMA(mma_m16n8k16_bf16, 2, bfloat_of)
#undef MMA

#define LOAD_MATRIX(name, COUNT, transposed)                                           \
    inline void name(unsigned (&r)[COUNT], const void* row, int line = __builtin_LINE()) { \
        cuda_cpu::load_matrix(#name, line, r, row, transposed);                        \
    }
LOAD_MATRIX(load_matrix_x4, 4, false)
LOAD_MATRIX(load_matrix_x4_trans, 4, true)
LOAD_MATRIX(load_matrix_x2, 2, false)
LOAD_MATRIX(load_matrix_x2_trans, 2, true)
#undef LOAD_MATRIX

inline void copy_async_16(void* shared, const void* global, bool filled, int line = __builtin_LINE()) {
    cuda_cpu::begin_copy("copy_async_16", line, shared, global, filled, 16);
}
inline void copy_async_4(void* shared, const void* global, bool filled, int line = __builtin_LINE()) {
    cuda_cpu::begin_copy("copy_async_4", line, shared, global, filled, 4);
}
inline void copy_async_commit() { ++cuda_cpu::my_copies().group; }
// Wait until all groups but the last N have arrived.
template <int N>
inline void copy_async_wait() {
    cuda_cpu::end_copies(N);
}

// Rounds to the nearest number of 10 bits after the point, ties away from zero.
inline unsigned to_tf32(float value) {
    const unsigned bits = __float_as_uint(value);
    return value - value != 0 ? bits : (bits + 0x1000) & 0xffffe000u;
}
