// CUDA's functions of numbers, and its atomics: threads never run at the same time here, so these are plain.
#pragma once
#include <math.h>
#include <stdlib.h>

#include <type_traits>

#include "bits.h"

inline float __int_as_float(int bits) { return cuda_cpu::same_bits<float>(bits); }
inline float __uint_as_float(unsigned bits) { return cuda_cpu::same_bits<float>(bits); }
inline int __float_as_int(float value) { return cuda_cpu::same_bits<int>(value); }
inline unsigned __float_as_uint(float value) { return cuda_cpu::same_bits<unsigned>(value); }
inline double __longlong_as_double(long long bits) { return cuda_cpu::same_bits<double>(bits); }
inline long long __double_as_longlong(double value) { return cuda_cpu::same_bits<long long>(value); }

inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
inline int __mulhi(int a, int b) { return (long long)a * b >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    return ((unsigned long long)high << 32 | low) << (by & 31) >> 32;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    return ((unsigned long long)high << 32 | low) >> (by & 31);
}

// Both of one type, or a static_assert's sentence: CUDA's own overloads are ambiguous for two types.
template <class A, class B>
inline A min(A a, B b) {
    static_assert(std::is_same_v<A, B>, "min of two types");
    return b < a || a != a ? b : a;
}
template <class A, class B>
inline A max(A a, B b) {
    static_assert(std::is_same_v<A, B>, "max of two types");
    return a < b || a != a ? b : a;
}

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __saturatef(float x) { return x > 0 ? x < 1 ? x : 1 : 0; }
inline float sinpif(float x) { return float(sin(M_PI * double(x))); }
inline float cospif(float x) { return float(cos(M_PI * double(x))); }
inline double sinpi(double x) { return sin(M_PI * x); }
inline double cospi(double x) { return cos(M_PI * x); }

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1 / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __int2float_rn(int a) { return float(a); }
inline float __uint2float_rn(unsigned a) { return float(a); }
inline int __float2int_rn(float a) { return int(rintf(a)); }
inline int __float2int_rz(float a) { return int(a); }

template <class T>
inline T __ldg(const T* at) {
    return *at;
}
template <class T>
inline T __ldcs(const T* at) {
    return *at;
}
template <class T>
inline void __stcs(T* at, T value) {
    *at = value;
}

inline void __threadfence() {}
inline void __threadfence_block() {}

namespace cuda_cpu {
template <class T, class F>
inline T update(T* at, F next) {
    static_assert(std::is_integral_v<T> && sizeof(T) >= 4, "atomics of floats give other bits from run to run");
    const T old = *at;
    *at = next(old);
    return old;
}
template <class T>
struct Exactly {
    typedef T type;
};
}  // namespace cuda_cpu

#define ATOMIC(name, result)                                             \
    template <class T>                                                   \
    inline T name(T* at, typename cuda_cpu::Exactly<T>::type value) {    \
        return cuda_cpu::update(at, [&](T old) { return T(result); });   \
    }
ATOMIC(atomicAdd, std::make_unsigned_t<T>(old) + std::make_unsigned_t<T>(value))
ATOMIC(atomicSub, std::make_unsigned_t<T>(old) - std::make_unsigned_t<T>(value))
ATOMIC(atomicMax, old < value ? value : old)
ATOMIC(atomicMin, value < old ? value : old)
ATOMIC(atomicAnd, old & value)
ATOMIC(atomicOr, old | value)
ATOMIC(atomicXor, old ^ value)
ATOMIC(atomicExch, value)
#undef ATOMIC
template <class T>
inline T atomicCAS(T* at, typename cuda_cpu::Exactly<T>::type expected, typename cuda_cpu::Exactly<T>::type value) {
    return cuda_cpu::update(at, [&](T old) { return old == expected ? value : old; });
}
