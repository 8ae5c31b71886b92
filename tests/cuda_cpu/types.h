// CUDA's built-in types.
#pragma once
#include "cuda_bf16.h"
#include "cuda_fp16.h"

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

#define VECTOR(T, name, of)                  \
    struct alignas(2 * sizeof(T)) name##2 {  \
        T x, y;                              \
    };                                       \
    struct name##3 {                         \
        T x, y, z;                           \
    };                                       \
    struct alignas(of) name##4 {             \
        T x, y, z, w;                        \
    };                                       \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
VECTOR(unsigned char, uchar, 4)
VECTOR(short, short, 8)
VECTOR(unsigned short, ushort, 8)
VECTOR(int, int, 16)
VECTOR(unsigned, uint, 16)
VECTOR(long long, longlong, 16)
VECTOR(unsigned long long, ulonglong, 16)
VECTOR(float, float, 16)
VECTOR(double, double, 16)
#undef VECTOR
