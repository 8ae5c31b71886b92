// The epilogue that is applied to a sum before it is stored. GPUDL_FINISH selects it at compile time, since a kernel applies
// it in many places: BARE, without even a bias, or one of the activations.

#include "elementwise.cuh"

#define BARE 0
#define LINEAR 1
#define RELU 2
#define SIGMOID 3
#define TANH 4

// The element of an out (..., N) in column n. The sum is rounded before the bias is added, as it is where the two are separate
// kernels.
__device__ __forceinline__ Real finished(Sum sum, const Real* bias, Index n) {
#if GPUDL_FINISH != BARE
    sum = Sum(Real(sum)) + Sum(bias[n]);
#endif
#if GPUDL_FINISH == RELU
    sum = relu_of(sum);
#elif GPUDL_FINISH == SIGMOID
    sum = sigmoid_of(sum);
#elif GPUDL_FINISH == TANH
    sum = tanh_of(sum);
#endif
    return Real(sum);
}
