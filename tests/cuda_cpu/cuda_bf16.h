// Stands in for CUDA's header of this name.
#pragma once
#include <type_traits>

#include "bits.h"

struct __nv_bfloat16 {
    unsigned short bits;

    __nv_bfloat16() = default;
    // Rounds to the nearest, to the even one of two; every NaN is the one of CUDA.
    __nv_bfloat16(float value) {
        const unsigned wide = cuda_cpu::same_bits<unsigned>(value);
        bits = value != value ? 0x7fff : (wide + 0x7fff + (wide >> 16 & 1)) >> 16;
    }
    __nv_bfloat16(double value) : __nv_bfloat16(to_odd(value)) {}
    template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
    __nv_bfloat16(T value) : __nv_bfloat16(double(value)) {}
    operator float() const { return cuda_cpu::same_bits<float>(unsigned(bits) << 16); }

   private:
    // Rounds to a float whose last bit says whether anything was cut off, so that rounding again is rounding once.
    static float to_odd(double value) {
        const float near = float(value);
        if (near == value || value != value || near - near != 0) return near;
        const unsigned bits = cuda_cpu::same_bits<unsigned>(near);
        const bool outward = (near > value) == (value > 0);
        return cuda_cpu::same_bits<float>((outward ? bits - 1 : bits) | 1);
    }
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

inline float __bfloat162float(__nv_bfloat16 value) { return float(value); }
inline __nv_bfloat16 __float2bfloat16(float value) { return __nv_bfloat16(value); }
inline __nv_bfloat16 __float2bfloat16_rn(float value) { return __nv_bfloat16(value); }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return cuda_cpu::same_bits<__nv_bfloat16>(bits); }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__nv_bfloat16(x), __nv_bfloat16(y)}; }
inline float __low2float(__nv_bfloat162 pair) { return float(pair.x); }
inline float __high2float(__nv_bfloat162 pair) { return float(pair.y); }
