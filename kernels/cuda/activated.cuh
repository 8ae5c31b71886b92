// What is done with a sum before it is stored; with BARE there is not even a bias. `gemm.py` numbers them alike.

#include "elementwise.cuh"

enum { BARE, LINEAR, RELU, SIGMOID, TANH };

// The element of an out (..., N) in column n. The sum is rounded before the bias is added, as it is where it is stored in
// between.
__device__ __forceinline__ Real finished(Sum sum, const Real* bias, Index n, int activation) {
    if (activation == BARE) return Real(sum);
    sum = Sum(Real(sum)) + Sum(bias[n]);
    return Real(activation == RELU      ? relu_of(sum)
                : activation == SIGMOID ? sigmoid_of(sum)
                : activation == TANH    ? tanh_of(sum)
                                        : sum);
}
