// Arrays of any size, GPUDL_WIDTH elements at a time: the last Pack may lie partly behind the end.
typedef Pack<Real, GPUDL_WIDTH> Reals;

// Pack i of x (size); zeros stand for what lies behind the end.
__device__ __forceinline__ Reals load(const Real* x, Index i, Index size) {
    const Index first = i * GPUDL_WIDTH;
    if (first + GPUDL_WIDTH <= size) return ((const Reals*)x)[i];
    Reals pack;
    for (int k = 0; k < GPUDL_WIDTH; ++k) pack.at[k] = first + k < size ? x[first + k] : Real(0);
    return pack;
}

__device__ __forceinline__ void store(Real* x, Index i, Index size, const Reals& pack) {
    const Index first = i * GPUDL_WIDTH;
    if (first + GPUDL_WIDTH <= size) {
        ((Reals*)x)[i] = pack;
        return;
    }
    for (int k = 0; k < GPUDL_WIDTH && first + k < size; ++k) x[first + k] = pack.at[k];
}

__device__ __forceinline__ Index packs(Index size) { return (size + GPUDL_WIDTH - 1) / GPUDL_WIDTH; }
