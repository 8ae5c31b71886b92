"""Matrix products."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array, Static
from gpudl.engine.spec import ShapeError, Spec, broadcast, promote
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives.declare import op


def _matmul(a: Spec, b: Spec, *, transpose_a: bool = False, transpose_b: bool = False) -> Spec:
    if a.ndim < 2 or b.ndim < 2:
        raise ShapeError("a matrix product needs operands with at least two axes.")
    (m, k), (k2, n) = a.shape[-2:], b.shape[-2:]
    if transpose_a:
        m, k = k, m
    if transpose_b:
        k2, n = n, k2
    if k != k2:
        raise ShapeError(f"the inner sizes {k} and {k2} differ.")
    tiny = a.dtype == b.dtype == np.int8  # whose products overflow immediately
    dtype = np.dtype(np.int32) if tiny else promote(a.dtype, b.dtype)
    return Spec((*broadcast(a.shape[:-2], b.shape[:-2]), m, n), dtype)


def _flops(outs: tuple[Spec, ...], ins: tuple[Spec, ...], static: Static) -> int:
    """Count a multiplication and an addition for each element of the result and each index along K."""
    return 2 * outs[0].size * ins[0].shape[-2 if static.get("transpose_a") else -1]


@op(_matmul, flops=_flops)
def matmul(
    xp: ModuleType, out: Array, a: Array, b: Array, *, transpose_a: bool = False, transpose_b: bool = False
) -> None:
    """Return the product over the last two axes, (..., M, K) @ (..., K, N) -> (..., M, N).

    `transpose_a` and `transpose_b` swap these axes of an operand without copying it.
    """
    left = a.swapaxes(-1, -2) if transpose_a else a
    right = b.swapaxes(-1, -2) if transpose_b else b
    if left.dtype != out.dtype:
        left = left.astype(out.dtype)
    if right.dtype != out.dtype:
        right = right.astype(out.dtype)
    xp.matmul(left, right, out=out)


def _grad_a(g: Tensor, y: Tensor, a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    result: Tensor = (
        matmul(b, g, transpose_a=transpose_b, transpose_b=True)
        if transpose_a
        else matmul(g, b, transpose_b=not transpose_b)
    )
    return result


def _grad_b(g: Tensor, y: Tensor, a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    result: Tensor = (
        matmul(g, a, transpose_a=True, transpose_b=transpose_a)
        if transpose_b
        else matmul(a, g, transpose_a=not transpose_a)
    )
    return result


matmul.vjp(a=_grad_a, b=_grad_b)
