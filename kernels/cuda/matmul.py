"""Matrix products, alone or fused with a bias and an activation, by the kernel of `matmul.cu`."""

from __future__ import annotations

from ..registry import Stages, accelerates, registered
from .gemm import Product, bias_fits, fit
from .launch import Array
from .tiles import Sums


def of_matrices(out: Array, a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Product:
    """Return the product of a (M, K) and b (K, N); a transposed operand has shape (K, M) or (N, K)."""
    m, n = out.shape
    k = a.shape[0 if transpose_a else 1]
    sums = Sums(m, n, k, a_along=not transpose_a, b_along=transpose_b)
    macros = (("GPUDL_TRANSPOSE_A", int(transpose_a)), ("GPUDL_TRANSPOSE_B", int(transpose_b)))
    return Product("matmul", sums, (a.shape[1], b.shape[1]), (m, n, k), macros)


def supports_matrices(out: Array, a: Array, b: Array, *, activation: str | None = None, **flips: bool) -> bool:
    """Accept two matrices of one floating-point dtype; large ones only if no other kernel, such as cuBLAS, does."""
    if not fit(out, a, b, axes=2):
        return False
    product = of_matrices(out, a, b, **flips)
    others = (kernel for kernel in registered("cuda")["matmul"] if kernel.run is not matmul)
    if product.sums.is_big and any(kernel.supports(out, a, b, **flips) for kernel in others):
        return False
    return product.compiles(out, a, b, activation=activation)


@accelerates("matmul", device="cuda", supports=supports_matrices, first=True)
def matmul(out: Array, a: Array, b: Array, *, transpose_a: bool = False, transpose_b: bool = False) -> None:
    """Multiply a (M, K) by b (K, N) into out (M, N); a transposed operand has shape (K, M) or (N, K)."""
    of_matrices(out, a, b, transpose_a, transpose_b)(out, a, b)


def _biased_matrices(out: Array, a: Array, b: Array, bias: Array, *, stages: Stages) -> bool:
    activation = stages[1]["activation"]
    return bias_fits(out, bias, activation) and supports_matrices(out, a, b, **stages[0], activation=activation)


@accelerates("matmul+bias_activation", device="cuda", supports=_biased_matrices)
def matmul_bias_activation(out: Array, a: Array, b: Array, bias: Array, *, stages: Stages) -> None:
    """Compute activation(a @ b + bias)."""
    of_matrices(out, a, b, **stages[0])(out, a, b, bias, stages[1]["activation"])
