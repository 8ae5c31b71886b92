// What is done with a sum before it is stored. GPUDL_FINISH says it when a kernel is compiled, since sums are finished in
// many places of it: BARE, without even a bias, or one of the activations.

#include "elementwise.cuh"

#define BARE 0
#define LINEAR 1
#define RELU 2
#define SIGMOID 3
#define TANH 4

// The element of an out (..., N) in column n. The sum is rounded before the bias is added, as it is where it is stored in
// between.
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
