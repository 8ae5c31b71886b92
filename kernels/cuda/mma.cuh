// Tensor core instructions and asynchronous copies to shared memory, as functions of PTX instructions. `mma` is row.col with
// float32 accumulators; the PTX ISA describes its fragments, "Matrix fragments for mma.m16n8k8 / m16n8k16". GPUs before sm_80
// multiply float16 only, in two halves, and copy through registers. (Tests on a CPU have functions of their own.)

#ifdef __CUDACC__

#define MULTIPLY_16(name, instruction)                                                                           \
    __device__ __forceinline__ void name(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {        \
        asm volatile(instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"              \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                            \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                        \
    }

#if __CUDA_ARCH__ >= 800
MULTIPLY_16(mma_m16n8k8_tf32, "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
MULTIPLY_16(mma_m16n8k16_f16, "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32")
MULTIPLY_16(mma_m16n8k16_bf16, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")

// Rounds to tf32, 10 bits of mantissa: to nearest, ties away from zero.
__device__ __forceinline__ unsigned to_tf32(float value) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}
#else
__device__ __forceinline__ void mma_m16n8k16_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
}
#endif
#undef MULTIPLY_16

__device__ __forceinline__ unsigned shared_address(const void* at) { return (unsigned)__cvta_generic_to_shared(at); }

// Registers r[i] of the 8 x 8 matrices of 16 bits whose rows lanes 8*i ... 8*i + 7 point to, as they are or transposed.
#define LOAD_MATRIX_X4(name, kind)                                                                      \
    __device__ __forceinline__ void name(unsigned (&r)[4], const void* row) {                           \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" kind ".shared.b16 {%0, %1, %2, %3}, [%4];"         \
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                                   \
                     : "r"(shared_address(row))                                                         \
                     : "memory");                                                                       \
    }
#define LOAD_MATRIX_X2(name, kind)                                                      \
    __device__ __forceinline__ void name(unsigned (&r)[2], const void* row) {           \
        asm volatile("ldmatrix.sync.aligned.m8n8.x2" kind ".shared.b16 {%0, %1}, [%2];" \
                     : "=r"(r[0]), "=r"(r[1])                                           \
                     : "r"(shared_address(row))                                         \
                     : "memory");                                                       \
    }
LOAD_MATRIX_X4(load_matrix_x4, "")
LOAD_MATRIX_X4(load_matrix_x4_trans, ".trans")
LOAD_MATRIX_X2(load_matrix_x2, "")
LOAD_MATRIX_X2(load_matrix_x2_trans, ".trans")
#undef LOAD_MATRIX_X4
#undef LOAD_MATRIX_X2

// An asynchronous copy, or zeros if `filled` is false; `global` is then not read.
#if __CUDA_ARCH__ >= 800
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, bool filled) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(filled ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copy_async_4(void* shared, const void* global, bool filled) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(filled ? 4 : 0)
                 : "memory");
}
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most N of this thread's groups of copies are pending.
template <int N>
__device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
#else
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, bool filled) {
    *(uint4*)shared = filled ? *(const uint4*)global : uint4{0, 0, 0, 0};
}
__device__ __forceinline__ void copy_async_4(void* shared, const void* global, bool filled) {
    *(unsigned*)shared = filled ? *(const unsigned*)global : 0;
}
__device__ __forceinline__ void copy_async_commit() {}
template <int N>
__device__ __forceinline__ void copy_async_wait() {}
#endif

#endif
