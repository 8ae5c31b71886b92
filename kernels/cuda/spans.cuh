// Which outputs of a window read which inputs, along each axis.

struct Span {
    Index first, stop;
};

// The taps of output `o` that fall on the input and not on the padding, along one axis.
__device__ __forceinline__ Span taps_inside(Index o, Index H, Index K, Index S, Index D, Index P) {
    const Index at = o * S - P;  // the position of the first tap
    const Index first = at < 0 ? (D - 1 - at) / D : 0, stop = at < H ? (H - at + D - 1) / D : 0;
    return {first, stop < K ? stop : K};
}

// The outputs that may read input `h`, along one axis; the later ones with earlier taps.
__device__ __forceinline__ Span seen_from(Index h, Index O, Index K, Index S, Index D, Index P) {
    const Index beyond = h + P - (K - 1) * D, stop = (h + P) / S + 1;
    return {beyond > 0 ? (beyond + S - 1) / S : 0, stop < O ? stop : O};
}

// The tap by which output `o` reads input `h`, or -1 where `h` falls between two taps.
__device__ __forceinline__ Index tap_on(Index h, Index o, Index S, Index D, Index P) {
    const Index away = h + P - o * S;
    if (D == 1) return away;
    return away % D == 0 ? away / D : -1;
}

// Calls `body` for every output (o, q) of image n that reads the input (h, w), with its index `at` and the taps a, b, in the
// order of the taps.
#define FOR_EACH_OUTPUT_THAT_SEES(h, w, body)                                              \
    const Span rows = seen_from(h, OH, KH, SH, DH, PH), columns = seen_from(w, OW, KW, SW, DW, PW); \
    for (Index o = rows.stop - 1; o >= rows.first; --o) {                                  \
        const Index a = tap_on(h, o, SH, DH, PH);                                          \
        if (a < 0) continue;                                                               \
        for (Index q = columns.stop - 1; q >= columns.first; --q) {                        \
            const Index b = tap_on(w, q, SW, DW, PW);                                      \
            if (b < 0) continue;                                                           \
            const Index at = ((n * OH + o) * OW + q) * C + c;                              \
            body                                                                           \
        }                                                                                  \
    }
