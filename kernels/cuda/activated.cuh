// What is done with a sum before it is stored; with BARE there is not even a bias. `gemm.py` numbers them alike.

enum { BARE, LINEAR, RELU, SIGMOID, TANH };

__device__ __forceinline__ Sum activated(Sum sum, int activation) {
    if (activation == RELU) return sum < 0 ? Sum(0) : sum;  // a NaN stays one
    if (activation == TANH) return tanh(sum);
    if (activation != SIGMOID) return sum;
    const Sum small = exp(sum < 0 ? sum : -sum);
    return (sum < 0 ? small : Sum(1)) / (1 + small);
}

// The element of an out (..., N) in column n. The sum is rounded before the bias is added, as it is where it is stored in between.
__device__ __forceinline__ Real finished(Sum sum, const Real* bias, Index n, int activation) {
    return Real(activation == BARE ? sum : activated(Sum(Real(sum)) + Sum(bias[n]), activation));
}
