"""Products of matrices: those of the tutorials, forward and both gradients, those of a sequence, and larger ones."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.suites.harness import Case, op, suite

# (M, K, N) of the forward product.
SIZES = ((128, 784, 512), (128, 512, 10), (64, 576, 64), (64, 64, 10), (32, 3, 1), (6400, 64, 512), (1024, 1024, 1024))


def products() -> Iterator[Case]:
    """Yield x @ w, and g @ w.T and x.T @ g as a gradient takes them."""
    for m, k, n in SIZES:
        flops = 2 * m * k * n
        yield op("matmul", (m, k), (k, n), flops=flops)
        yield op("matmul", (m, n), (k, n), flops=flops, transpose_b=True)
        yield op("matmul", (m, k), (m, n), flops=flops, transpose_a=True)


test_matmul = suite(products())
