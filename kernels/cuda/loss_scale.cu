// What training with a loss scale does after an update: take it back where a gradient was not finite, and change the scale.
#include "common.cuh"
#include "packs.cuh"

// before (size), keep () -> target (size): as it was before, unless the new values are to stay; then nothing is read.
extern "C" __global__ void restore(Real* __restrict__ target, const Real* __restrict__ before,
                                   const bool* __restrict__ keep, const Index size) {
    if (*keep) return;
    FOR_EACH(i, packs(size)) store(target, i, size, load(before, i, size));
}

// scale, good, finite (): twice the scale after `growth_steps` finite steps, half of it after one that was not, and how many
// finite steps there have been since it changed. For one thread.
extern "C" __global__ void rescale(Real* scale, long long* good, const bool* finite, const long long growth_steps) {
    const bool grown = *good == growth_steps - 1;
    *scale = Real(Sum(*scale) * Sum(!*finite ? 0.5 : grown ? 2 : 1));
    *good = *finite && !grown ? *good + 1 : 0;
}
