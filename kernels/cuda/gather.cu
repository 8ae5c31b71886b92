// Gathering rows of a table by index, for batches and embeddings.
#include "common.cuh"
#include <cuda_fp16.h>

// GPUDL_FROM, GPUDL_TO: the types of the table and of the result, with a cast between them; without a cast both are the type
//   that moves as many bytes at a time as possible.
// GPUDL_ORDER: int or long long, the type of row indices.
typedef GPUDL_FROM From;
typedef GPUDL_TO To;
typedef GPUDL_ORDER Order;
typedef long long Row;  // a table may have more elements than an Index counts
typedef Pack<From, GPUDL_WIDTH> Froms;
typedef Pack<To, GPUDL_WIDTH> Tos;

template <class Result, class T>
__device__ __forceinline__ Result converted(T value) { return Result(value); }
template <class Result>
__device__ __forceinline__ Result converted(__half value) { return Result(float(value)); }

// An index out of range in a batch reads the nearest row.
__device__ __forceinline__ Row within(Row at, Row count) { return at < 0 ? 0 : at < count ? at : count - 1; }

// table (N, C) -> out (M, C): row i of out is row `number(i)` of table. C counts Packs, and so does `total`, which is M * C.
template <class Number>
__device__ __forceinline__ void copy_rows(To* out, const From* table, Index total, Index C, Row N, Number number) {
    FOR_EACH(i, total) {
        const Index row = i / C;
        const Froms from = ((const Froms*)table)[within(number(row), N) * C + i % C];
        Tos to;
        for (int k = 0; k < GPUDL_WIDTH; ++k) to.at[k] = converted<To>(from.at[k]);
        ((Tos*)out)[i] = to;
    }
}

// table (N, C), order (M) -> out (M, C): a negative index counts from the end; a row for one out of range is filled with bytes `nothing`.
extern "C" __global__ void take_rows(To* __restrict__ out, const From* __restrict__ table,
                                     const Order* __restrict__ order, const Index total, const Index C, const Row N,
                                     const int nothing) {
    FOR_EACH(i, total) {
        const Row number = order[i / C], row = number < 0 ? number + N : number;
        if (row >= 0 && row < N) {
            const Froms from = ((const Froms*)table)[row * C + i % C];
            Tos to;
            for (int k = 0; k < GPUDL_WIDTH; ++k) to.at[k] = converted<To>(from.at[k]);
            ((Tos*)out)[i] = to;
        } else {
            unsigned char* bytes = (unsigned char*)((Tos*)out + i);
            for (int k = 0; k < int(sizeof(Tos)); ++k) bytes[k] = (unsigned char)nothing;
        }
    }
}

// table (N, C), order (L), start () -> out (M, C): the rows order[start], order[start + 1], ...
extern "C" __global__ void gather_rows(To* __restrict__ out, const From* __restrict__ table,
                                       const Order* __restrict__ order, const Row* __restrict__ start,
                                       const Index total, const Index C, const Row N, const Row L) {
    copy_rows(out, table, total, C, N, [=](Index row) { return Row(order[within(*start + row, L)]); });
}

// table (N, C), start () -> out (M, C): the rows start, start + 1, ...
extern "C" __global__ void gather_range(To* __restrict__ out, const From* __restrict__ table,
                                        const Row* __restrict__ start, const Index total, const Index C, const Row N) {
    copy_rows(out, table, total, C, N, [=](Index row) { return *start + row; });
}
