// The functions that kernels written by `program.py` use, each in one type T. Integer arithmetic wraps around.

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
typedef signed char SignedByte;
typedef short Short;
typedef unsigned short UnsignedShort;
typedef long long Long;
typedef unsigned long long UnsignedLong;
WHOLE(Byte, unsigned)
WHOLE(SignedByte, unsigned)
WHOLE(Short, unsigned)
WHOLE(UnsignedShort, unsigned)
WHOLE(int, unsigned)
WHOLE(unsigned, unsigned)
WHOLE(Long, UnsignedLong)

// NAME_of(x) for a function whose float version is NAMEf in C.
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

// A NaN propagates; of two equal numbers, such as zeros of both signs, the first.
template <class T>
__device__ __forceinline__ T maximum_of(T a, T b) {
    return a >= b || a != a ? a : b;
}
template <class T>
__device__ __forceinline__ T minimum_of(T a, T b) {
    return a <= b || a != a ? a : b;
}

// Bitwise operations. A shift by all bits or more leaves only the sign.
template <class T>
__device__ __forceinline__ T bitwise_and_of(T a, T b) {
    return T(a & b);
}
template <class T>
__device__ __forceinline__ T bitwise_or_of(T a, T b) {
    return T(a | b);
}
template <class T>
__device__ __forceinline__ T bitwise_xor_of(T a, T b) {
    return T(a ^ b);
}
template <class T>
__device__ __forceinline__ T invert_of(T x) {
    return T(~x);
}
template <class T>
__device__ __forceinline__ T left_shift_of(T a, T b) {
    return UnsignedLong(b) < 8 * sizeof(T) ? T(UnsignedLong(a) << b) : T(0);
}
template <class T>
__device__ __forceinline__ T right_shift_of(T a, T b) {
    return UnsignedLong(b) < 8 * sizeof(T) ? T(a >> b) : T(Long(a) >> 63);
}

// Quotients rounded down, and what they leave, which has the sign of b. An integer by 0 is 0.
template <class T>
__device__ __forceinline__ T floor_divide_of(T a, T b) {
    if (b == T(0)) return b;
    if (T(-1) < T(0) && b == T(-1)) return subtract_of(T(0), a);  // of the lowest number it overflows
    return T(a / b - (a % b != 0 && (a < T(0)) != (b < T(0))));
}
template <class T>
__device__ __forceinline__ T remainder_of(T a, T b) {
    return subtract_of(a, multiply_of(floor_divide_of(a, b), b)) * T(b != T(0));
}
#define QUOTIENTS(T, fmod, floor, copysign)                            \
    __device__ __forceinline__ T remainder_of(T a, T b) {              \
        const T left = fmod(a, b);                                     \
        if (b == 0) return left;                                       \
        if (left == 0) return copysign(T(0), b);                       \
        return (b < 0) != (left < 0) ? left + b : left;                \
    }                                                                  \
    __device__ __forceinline__ T floor_divide_of(T a, T b) {           \
        if (b == 0) return a / b;                                      \
        const T left = fmod(a, b);                                     \
        const T below = left != 0 && (b < 0) != (left < 0) ? 1 : 0;    \
        const T exact = (a - left) / b - below, whole = floor(exact);  \
        if (exact == 0) return copysign(T(0), a / b);                  \
        return exact - whole > T(0.5) ? whole + 1 : whole;             \
    }
QUOTIENTS(float, fmodf, floorf, copysignf)
QUOTIENTS(double, fmod, floor, copysign)

template <class T>
__device__ __forceinline__ T sign_of(T x) {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : x - x;  // a NaN propagates
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
// N elements at x. If N is more than 1, x must be a multiple of N elements away from an address that is a multiple of 16 bytes.
template <int N, class T>
__device__ __forceinline__ Pack<T, N> packed(const T* x) {
    return *reinterpret_cast<const Pack<T, N>*>(x);
}
template <int N, class T>
__device__ __forceinline__ void unpack(T* x, const Pack<T, N>& from) {
    *reinterpret_cast<Pack<T, N>*>(x) = from;
}
