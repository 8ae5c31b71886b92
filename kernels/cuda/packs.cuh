// Accessing memory a Pack at a time. The number of its elements depends on the shape alone, so that sums are bitwise the same
// for any address of an array:
//   GPUDL_APART  defined where an address is not a multiple of a Pack's size: its elements are then accessed one by one

constexpr int WIDTH = GPUDL_WIDTH;
typedef Pack<Real, WIDTH> Reals;

template <class T>
__device__ __forceinline__ Pack<T, WIDTH> fetch(const T* from) {
#ifdef GPUDL_APART
    Pack<T, WIDTH> pack;
    for (int j = 0; j < WIDTH; ++j) pack.at[j] = from[j];
    return pack;
#else
    return *reinterpret_cast<const Pack<T, WIDTH>*>(from);
#endif
}

template <class T>
__device__ __forceinline__ void put(T* to, const Pack<T, WIDTH>& pack) {
#ifdef GPUDL_APART
    for (int j = 0; j < WIDTH; ++j) to[j] = pack.at[j];
#else
    *reinterpret_cast<Pack<T, WIDTH>*>(to) = pack;
#endif
}

// Arrays of any size as Packs: the last one may extend beyond the end.
__device__ __forceinline__ Index packs(Index size) { return (size + WIDTH - 1) / WIDTH; }

// Pack i of x (size), with zeros beyond the end.
__device__ __forceinline__ Reals load(const Real* x, Index i, Index size) {
    const Index first = i * WIDTH;
    if (first + WIDTH <= size) return fetch(x + first);
    Reals pack;
    for (int k = 0; k < WIDTH; ++k) pack.at[k] = first + k < size ? x[first + k] : Real(0);
    return pack;
}

__device__ __forceinline__ void store(Real* x, Index i, Index size, const Reals& pack) {
    const Index first = i * WIDTH;
    if (first + WIDTH <= size) {
        put(x + first, pack);
        return;
    }
    for (int k = 0; k < WIDTH && first + k < size; ++k) x[first + k] = pack.at[k];
}
