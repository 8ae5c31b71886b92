"""Singular values, pseudoinverses, LU factors and eigenvalues of any matrices; the matrices are the last two axes."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array
from gpudl.engine.grad import Gradients
from gpudl.engine.parts import total
from gpudl.engine.spec import Spec
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import square
from gpudl.ops.primitives.lapack import diagonal, inverse_differences, matrices, product, squares, turned
from gpudl.ops.primitives.shape import reshape

Three = tuple[Tensor, Tensor, Tensor]


def _svd(x: Spec, *, full: bool = False) -> tuple[Spec, Spec, Spec]:
    out, lead, (rows, columns) = matrices(x), x.shape[:-2], x.shape[-2:]
    count = min(rows, columns)
    left, right = (rows, columns) if full else (count, count)
    shapes = ((*lead, rows, left), (*lead, count), (*lead, right, columns))
    return out.with_shape(shapes[0]), out.with_shape(shapes[1]), out.with_shape(shapes[2])


@op(_svd, outs=3)
def svd(xp: ModuleType, u: Array, s: Array, v: Array, x: Array, *, full: bool = False) -> None:
    """Return u, s, v with u @ diagonal(s) @ v = x, orthonormal columns of u and rows of v, and falling s."""
    u[...], s[...], v[...] = xp.linalg.svd(x.astype(s.dtype), full_matrices=full)


def _of_svd(g: Gradients, y: Three, x: Tensor, full: bool = False) -> Tensor:
    # Source: Townsend, "Differentiating the singular value decomposition", 2016.
    (u, s, v), (of_u, of_s, of_v) = y, g
    if full and x.shape[-1] != x.shape[-2]:
        raise NotImplementedError("the gradient of svd needs full_matrices=False, or square matrices.")
    columns = reshape(s, (*s.shape[:-1], 1, s.shape[-1]))
    rows = reshape(s, (*s.shape, 1))
    apart = inverse_differences(square(s))
    inner, outside = (None if of_s is None else diagonal(of_s)), None
    if of_u is not None:
        turns = apart * product(turned(u), of_u)
        inner = total(inner, (turns + turned(turns)) * columns)
        beyond = of_u - product(u, turned(u), of_u)
        outside = product(beyond / columns, v)
    if of_v is not None:
        turns = apart * product(v, turned(of_v))
        inner = total(inner, rows * (turns + turned(turns)))
        beyond = of_v - product(of_v, turned(v), v)
        outside = total(outside, product(u, beyond / rows))
    assert inner is not None
    result = total(product(u, inner, v), outside)
    assert result is not None
    return result


svd.vjp(x=_of_svd)


def _values(x: Spec) -> Spec:
    return matrices(x).with_shape((*x.shape[:-2], min(x.shape[-2:])))


@op(_values)
def singular_values(xp: ModuleType, out: Array, x: Array) -> None:
    """Return the singular values of matrices, falling."""
    out[...] = xp.linalg.svd(x.astype(out.dtype), compute_uv=False)


def _of_values(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    u, _, v = svd(x)
    return product(u, diagonal(g), v)


singular_values.vjp(x=_of_values)


def _pinv(x: Spec, *, rcond: float) -> Spec:
    return matrices(x).with_shape((*x.shape[:-2], x.shape[-1], x.shape[-2]))


@op(_pinv)
def pinv(xp: ModuleType, out: Array, x: Array, *, rcond: float) -> None:
    """Return the pseudoinverses; singular values up to `rcond` times the largest count as 0."""
    u, s, v = xp.linalg.svd(x.astype(out.dtype), full_matrices=False)
    kept = s > rcond * s.max(axis=-1, keepdims=True)
    inverse = kept / xp.where(kept, s, s.dtype.type(1))
    out[...] = xp.matmul(v.swapaxes(-1, -2) * inverse[..., None, :], u.swapaxes(-1, -2))


def _of_pinv(g: Tensor, y: Tensor, x: Tensor, rcond: float) -> Tensor:
    # Source: Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973, (4.12).
    turn, across = turned(y), turned(g)
    left = product(across, y, turn)
    right = product(turn, y, across)
    return left - product(x, y, left) + right - product(right, y, x) - product(turn, g, turn)


pinv.vjp(x=_of_pinv)


def _lu(x: Spec) -> tuple[Spec, Spec]:
    out = matrices(x)
    return out, Spec((*x.shape[:-2], min(x.shape[-2:])), np.dtype(np.int32))


@op(_lu, outs=2)
def lu_factor(xp: ModuleType, lu: Array, pivots: Array, x: Array) -> None:
    """Return triangular factors in one matrix, L below the diagonal and U from it on, and the row that each row took.

    Rows are exchanged so that the largest element divides (partial pivoting).
    """
    a = x.astype(lu.dtype).reshape(-1, *x.shape[-2:])
    places = pivots.reshape(-1, pivots.shape[-1])
    each = xp.arange(a.shape[0])
    for k in range(pivots.shape[-1]):
        row = xp.argmax(xp.absolute(a[:, k:, k]), axis=1) + k
        places[:, k] = row
        chosen, replaced = a[each, row], a[:, k].copy()
        a[each, row] = replaced
        a[:, k] = chosen
        a[:, k + 1 :, k] /= a[:, k : k + 1, k]
        a[:, k + 1 :, k + 1 :] -= a[:, k + 1 :, k : k + 1] * a[:, k : k + 1, k + 1 :]
    lu[...] = a.reshape(lu.shape)


def _eig(x: Spec) -> tuple[Spec, Spec]:
    out = squares(x)
    out = out.with_dtype("complex128" if out.dtype == np.float64 else "complex64")
    return out.with_shape(x.shape[:-1]), out


@op(_eig, outs=2)
def eig(xp: ModuleType, values: Array, vectors: Array, x: Array) -> None:
    """Return the eigenvalues of square matrices and their eigenvectors as columns, both complex."""
    values[...], vectors[...] = xp.linalg.eig(x)
