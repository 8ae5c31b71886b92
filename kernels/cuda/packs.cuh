// Moving a Pack at a time. How many elements it has follows from the shape alone, so that sums, too, are the same bits
// wherever an array lies:
//   GPUDL_APART  defined where an address is no multiple of a Pack's size: the same elements are then moved one by one

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
