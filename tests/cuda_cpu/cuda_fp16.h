// Stands in for CUDA's header of this name.
#pragma once
#include "bits.h"

typedef _Float16 __half;
typedef __half half;
struct alignas(4) __half2 {
    __half x, y;
};
typedef __half2 half2;

inline float __half2float(__half value) { return float(value); }
inline __half __float2half(float value) { return __half(value); }
inline __half __float2half_rn(float value) { return __half(value); }
inline __half __ushort_as_half(unsigned short bits) { return cuda_cpu::same_bits<__half>(bits); }
inline unsigned short __half_as_ushort(__half value) { return cuda_cpu::same_bits<unsigned short>(value); }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline float __low2float(__half2 pair) { return float(pair.x); }
inline float __high2float(__half2 pair) { return float(pair.y); }
