"""Matrix products on NVIDIA GPUs by cuBLAS, single or batched."""

from __future__ import annotations

import warnings
from functools import lru_cache
from math import prod

from .. import precision
from ..registry import accelerates
from . import cublas
from .cublas import Product, Shape
from .launch import Array, contiguous

_MOST = 2**31 - 1  # cuBLAS takes sizes as 32-bit integers

_unusable: list[str] = []  # the reason, once it is known


@lru_cache(maxsize=4096)
def product(dtype: str, itemsize: int, out: Shape, a: Shape, b: Shape, transpose_a: bool, transpose_b: bool) -> Product:
    """Return how to compute out (..., M, N) from a (..., M, K) and b (..., K, N), all C-contiguous, none empty."""
    (m, n), k = out[-2:], a[-2 if transpose_a else -1]
    many, batches = out[:-2], (out[:-2], a[:-2], b[:-2])
    if not transpose_a and prod(b[:-2]) == 1 and prod(a[:-2]) == prod(many):
        m, many = m * prod(many), ()  # the rows of all matrices are contiguous
    *outer, (count, strides) = _axes(many, batches, (m * n, m * k, k * n))
    offsets: list[Shape] = [(0, 0, 0)]
    for size, step in outer:
        offsets = [
            tuple(o + i * s * itemsize for o, s in zip(at, step, strict=True)) for at in offsets for i in range(size)
        ]
    return Product(dtype, m, n, k, transpose_a, transpose_b, count, strides, tuple(offsets))


def _axes(many: Shape, batches: tuple[Shape, ...], matrices: Shape) -> list[tuple[int, Shape]]:
    """Return the size of each batch axis, and the operands' strides along it; at least one axis, as few as possible.

    Args:
        many: the batch sizes.
        batches: the batch sizes of each operand, fewer or 1 where it is broadcast.
        matrices: the number of elements of one matrix of each operand.
    """
    whole = [(1,) * (len(many) - len(batch)) + batch for batch in batches]
    steps = list(matrices)
    axes: list[tuple[int, Shape]] = []
    for at in reversed(range(len(many))):
        if many[at] == 1:
            continue
        strides = tuple(0 if batch[at] == 1 else step for batch, step in zip(whole, steps, strict=True))
        if axes and all(outer == inner * axes[0][0] for outer, inner in zip(strides, axes[0][1], strict=True)):
            axes[0] = (axes[0][0] * many[at], axes[0][1])
        else:
            axes.insert(0, (many[at], strides))
        steps = [step * batch[at] for batch, step in zip(whole, steps, strict=True)]
    return axes or [(1, (0, 0, 0))]


def supports(out: Array, a: Array, b: Array, *, transpose_a: bool = False, transpose_b: bool = False) -> bool:
    """Accept C-contiguous arrays of one floating-point dtype if cuBLAS is available; warn once if it is not."""
    dtype = out.dtype
    if not (a.dtype == b.dtype == dtype and dtype.name in cublas.TYPES and contiguous(out, a, b)):
        return False
    sizes = (*out.shape[-2:], a.shape[-1], a.shape[-2], prod(out.shape[:-1]))
    return max(sizes) <= _MOST and usable()


def usable() -> bool:
    """Return whether cuBLAS can be called directly, and warn the first time if it cannot."""
    if _unusable:
        return False
    try:
        cublas.handle()
    except cublas.BlasError as error:
        _unusable.append(str(error))
        warnings.warn(
            "gpudl cannot call cuBLAS itself and lets CuPy multiply matrices. CuPy does not do so while a CUDA "
            f"graph is captured, so that steps with matrix products start kernel by kernel. The reason: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
    return not _unusable


@accelerates("matmul", device="cuda", supports=supports)
def matmul(out: Array, a: Array, b: Array, *, transpose_a: bool = False, transpose_b: bool = False) -> None:
    """Multiply a (..., M, K) by b (..., K, N) into out (..., M, N); a transposed operand has shape (K, M) or (N, K).

    Sums are float32 (float64 for float64); float32 operands are rounded to TF32 where `precision` allows it.

    Raises:
        BlasError: if cuBLAS refuses; out is unchanged.
    """
    if out.size == 0:
        return
    if a.size == 0:
        out.fill(0)  # an empty sum
        return
    name = out.dtype.name
    asked = product(name, out.itemsize, out.shape, a.shape, b.shape, transpose_a, transpose_b)
    compute = cublas.COMPUTE_TF32 if name == "float32" and precision.tensor_cores() else cublas.TYPES[name][1]
    status = cublas.handle().multiply(asked, out.data.ptr, a.data.ptr, b.data.ptr, compute)
    if status:
        sides = (("a", a, transpose_a), ("b", b, transpose_b))
        said = " and ".join(f"{side} {list(x.shape)}{' transposed' * flip}" for side, x, flip in sides)
        cublas.check(status, f"the product of {said} in {name}")


def forget() -> None:
    """Forget the library, every handle, and whether cuBLAS was usable."""
    cublas.forget()
    _unusable.clear()
