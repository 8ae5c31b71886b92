// Updates of weights w (size) by gradients g (size), in place, with the slots that an optimizer keeps for each weight.
// The learning rate and the number of finished steps are read from memory, so that a captured graph sees their current values.
#include "common.cuh"
#include "packs.cuh"

#define EACH_PACK(i) FOR_EACH(i, packs(size))
#define EACH(k) for (int k = 0; k < GPUDL_WIDTH; ++k)

// w -= lr * g
extern "C" __global__ void sgd(Real* __restrict__ w, const Real* __restrict__ g, const Real* __restrict__ lr,
                               const Index size) {
    const Sum rate = *lr;
    EACH_PACK(i) {
        const Reals slope = load(g, i, size);
        Reals weight = load(w, i, size);
        EACH(k) weight.at[k] -= rate * slope.at[k];
        store(w, i, size, weight);
    }
}

// m = momentum * m - lr * g; w += m, or w += momentum * m - lr * g
extern "C" __global__ void sgd_momentum(Real* __restrict__ w, Real* __restrict__ m, const Real* __restrict__ g,
                                        const Real* __restrict__ lr, const Index size, const Sum momentum,
                                        const int nesterov) {
    const Sum rate = *lr;
    EACH_PACK(i) {
        const Reals slope = load(g, i, size);
        Reals weight = load(w, i, size), speed = load(m, i, size);
        EACH(k) {
            const Sum step = rate * slope.at[k], now = momentum * speed.at[k] - step;
            speed.at[k] = now;
            weight.at[k] += nesterov ? momentum * now - step : now;
        }
        store(m, i, size, speed);
        store(w, i, size, weight);
    }
}

// v = old * v + fresh * g * g; w -= lr * g / sqrt(v + epsilon)
extern "C" __global__ void rmsprop(Real* __restrict__ w, Real* __restrict__ v, const Real* __restrict__ g,
                                   const Real* __restrict__ lr, const Index size, const Sum old, const Sum fresh,
                                   const Sum epsilon) {
    const Sum rate = *lr;
    EACH_PACK(i) {
        const Reals slope = load(g, i, size);
        Reals weight = load(w, i, size), square = load(v, i, size);
        EACH(k) {
            const Sum now = old * square.at[k] + fresh * (slope.at[k] * slope.at[k]);
            square.at[k] = now;
            weight.at[k] -= rate * slope.at[k] / sqrt(now + epsilon);
        }
        store(v, i, size, square);
        store(w, i, size, weight);
    }
}

// m += (g - m) * fresh_1; v += (g * g - v) * fresh_2; w -= alpha * m / (sqrt(v) + epsilon)
extern "C" __global__ void adam(Real* __restrict__ w, Real* __restrict__ m, Real* __restrict__ v,
                                const Real* __restrict__ g, const Real* __restrict__ lr,
                                const long long* __restrict__ step, const Index size, const double beta_1,
                                const double beta_2, const Sum fresh_1, const Sum fresh_2, const Sum epsilon) {
    // While t is small, 1 - beta^t loses most of the digits of a float; and two powers in double would take each thread
    // longer than its weights.
    __shared__ Sum alpha;
    if (threadIdx.x == 0) {
        const double t = double(*step + 1);
        alpha = Sum(double(*lr) * sqrt(1 - pow(beta_2, t)) / (1 - pow(beta_1, t)));
    }
    __syncthreads();
    EACH_PACK(i) {
        const Reals slope = load(g, i, size);
        Reals weight = load(w, i, size), mean = load(m, i, size), square = load(v, i, size);
        EACH(k) {
            const Sum now = slope.at[k];
            mean.at[k] += (now - mean.at[k]) * fresh_1;
            square.at[k] += (now * now - square.at[k]) * fresh_2;
            weight.at[k] -= alpha * mean.at[k] / (sqrt(square.at[k]) + epsilon);
        }
        store(m, i, size, mean);
        store(v, i, size, square);
        store(w, i, size, weight);
    }
}
