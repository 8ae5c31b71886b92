// What the kernels that `program.py` writes compute with, in one type T at a time. The arithmetic of integers wraps.

#define REAL(T)                                                          \
    __device__ __forceinline__ T add_of(T a, T b) { return a + b; }      \
    __device__ __forceinline__ T subtract_of(T a, T b) { return a - b; } \
    __device__ __forceinline__ T multiply_of(T a, T b) { return a * b; }
REAL(float)
REAL(double)

// U: an unsigned type in which T's arithmetic is done.
#define WHOLE(T, U)                                                               \
    __device__ __forceinline__ T add_of(T a, T b) { return T(U(a) + U(b)); }      \
    __device__ __forceinline__ T subtract_of(T a, T b) { return T(U(a) - U(b)); } \
    __device__ __forceinline__ T multiply_of(T a, T b) { return T(U(a) * U(b)); }
typedef unsigned char Byte;
typedef long long Long;
typedef unsigned long long UnsignedLong;
WHOLE(Byte, unsigned)
WHOLE(int, unsigned)
WHOLE(unsigned, unsigned)
WHOLE(Long, UnsignedLong)

// NAME_of(x) for a function that C calls NAMEf in float.
#define FUNCTION(name)                                                         \
    __device__ __forceinline__ float name##_of(float x) { return name##f(x); } \
    __device__ __forceinline__ double name##_of(double x) { return name(x); }
FUNCTION(exp)
FUNCTION(expm1)
FUNCTION(log)
FUNCTION(log1p)
FUNCTION(sqrt)
FUNCTION(sin)
FUNCTION(cos)
FUNCTION(tanh)
FUNCTION(erf)
template <class T>
__device__ __forceinline__ T negative_of(T x) {
    return subtract_of(T(0), x);
}
__device__ __forceinline__ float negative_of(float x) { return -x; }
__device__ __forceinline__ double negative_of(double x) { return -x; }
template <class T>
__device__ __forceinline__ T absolute_of(T x) {
    return x < T(0) ? subtract_of(T(0), x) : x;
}
__device__ __forceinline__ float absolute_of(float x) { return fabsf(x); }
__device__ __forceinline__ double absolute_of(double x) { return fabs(x); }
__device__ __forceinline__ float power_of(float a, float b) { return powf(a, b); }
__device__ __forceinline__ double power_of(double a, double b) { return pow(a, b); }

// A NaN wins; of two equal numbers, which two zeros are, the first.
template <class T>
__device__ __forceinline__ T maximum_of(T a, T b) {
    return a >= b || a != a ? a : b;
}
template <class T>
__device__ __forceinline__ T minimum_of(T a, T b) {
    return a <= b || a != a ? a : b;
}

template <class T>
__device__ __forceinline__ T sign_of(T x) {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : x - x;  // a NaN stays
}

template <class T>
__device__ __forceinline__ bool is_finite(T x) {
    return x - x == T(0);
}

// g where y > 0, else 0 * g.
template <class T>
__device__ __forceinline__ T gate_of(T g, T y) {
    return g * T(y > T(0) ? 1 : 0);
}

// Activations.
template <class T>
__device__ __forceinline__ T relu_of(T x) {
    return maximum_of(x, T(0));
}
template <class T>
__device__ __forceinline__ T sigmoid_of(T x) {
    const T small = exp_of(-absolute_of(x));  // cannot overflow
    return (x < T(0) ? small : T(1)) / (T(1) + small);
}
// N elements at x, which is a multiple of N elements away from a multiple of 16 bytes if N is more than 1.
template <int N, class T>
__device__ __forceinline__ Pack<T, N> packed(const T* x) {
    return *reinterpret_cast<const Pack<T, N>*>(x);
}
template <int N, class T>
__device__ __forceinline__ void unpack(T* x, const Pack<T, N>& from) {
    *reinterpret_cast<Pack<T, N>*>(x) = from;
}
