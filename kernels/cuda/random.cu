// Counter-based random numbers, functions of a key and a position: Philox4x32-10, see random.py for the source.
// A key is (k0, k1, low, high); element e is word e % 4 of the block with the counter (e / 4 low, e / 4 high, low, high).
#include "common.cuh"
#include "packs.cuh"

typedef unsigned long long Count;

struct Four {
    unsigned at[4];
};

__device__ __forceinline__ Four philox(Count block, const unsigned* key) {
    unsigned k0 = key[0], k1 = key[1];
    Four c = {{unsigned(block), unsigned(block >> 32), key[2], key[3]}};
    for (int round = 0; round < 10; ++round) {
        const unsigned a = 0xD2511F53u * c.at[0], b = 0xCD9E8D57u * c.at[2];
        const unsigned high_a = __umulhi(0xD2511F53u, c.at[0]), high_b = __umulhi(0xCD9E8D57u, c.at[2]);
        c = {{high_b ^ c.at[1] ^ k0, b, high_a ^ c.at[3] ^ k1, a}};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

// The upper 24 bits, as many as a float has, in [0, 1).
__device__ __forceinline__ float unit(unsigned word) { return float(word >> 8) * 5.9604644775390625e-8f; }

// key (4) -> out (size)
extern "C" __global__ void random_uniform(Real* __restrict__ out, const unsigned* __restrict__ key, const Index size) {
    FOR_EACH(block, (size + 3) / 4) {
        const Four words = philox(block, key);
        for (int first = 0; first < 4; first += GPUDL_WIDTH) {
            Reals drawn;
            for (int k = 0; k < GPUDL_WIDTH; ++k) drawn.at[k] = Real(unit(words.at[first + k]));
            store(out, (block * 4 + first) / GPUDL_WIDTH, size, drawn);
        }
    }
}

// key (4) -> out (size): Box and Muller (1958). The first half of the elements uses the cosines of the angles and the
// other half their sines; radii come from the first `half` uniform numbers, angles from the others.
extern "C" __global__ void random_normal(Real* __restrict__ out, const unsigned* __restrict__ key, const Index size) {
    const Index half = (size + 1) / 2, shift = half % 4;
    FOR_EACH(block, (half + 3) / 4) {
        const Four radii = philox(block, key), angles = philox(half / 4 + block, key);
        const Four more = shift ? philox(half / 4 + block + 1, key) : angles;
        for (int k = 0; k < 4; ++k) {
            const Index at = block * 4 + k;
            if (at >= half) break;
            const unsigned word = shift + k < 4 ? angles.at[(shift + k) % 4] : more.at[(shift + k) % 4];
            const float radius = sqrtf(-2 * logf(1 - unit(radii.at[k]))), turns = unit(word);
            out[at] = Real(radius * cospif(2 * turns));
            if (half + at < size) out[half + at] = Real(radius * sinpif(2 * turns));
        }
    }
}

// x (size), key (4) -> y (size): x * scale where the random number is at least `rate`, else 0.
extern "C" __global__ void dropout(Real* __restrict__ y, const Real* __restrict__ x, const unsigned* __restrict__ key,
                                   const Index size, const float rate, const Sum scale) {
    FOR_EACH(block, (size + 3) / 4) {
        const Four words = philox(block, key);
        for (int first = 0; first < 4; first += GPUDL_WIDTH) {
            const Index at = (block * 4 + first) / GPUDL_WIDTH;
            Reals pack = load(x, at, size);
            for (int k = 0; k < GPUDL_WIDTH; ++k) {
                const bool kept = unit(words.at[first + k]) >= rate;
                pack.at[k] = kept ? Real(Sum(pack.at[k]) * scale) : Real(0);
            }
            store(y, at, size, pack);
        }
    }
}

// state (4): adds 1 to the counter of draws, its last two words. For one thread.
extern "C" __global__ void advance(unsigned* state) {
    state[2] += 1;
    state[3] += state[2] == 0;
}
