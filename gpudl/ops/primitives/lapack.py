"""Decompositions and solutions of matrices by the LAPACK of NumPy and CuPy; the matrices are the last two axes."""

from __future__ import annotations

from types import ModuleType

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.grad import Gradients
from gpudl.engine.parts import total
from gpudl.engine.spec import ShapeError, Spec, broadcast, promote
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import divide, floating, multiply, where
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.reduce import broadcast_to, sum_to
from gpudl.ops.primitives.shape import in_order, reshape


def matrices(x: Spec, **_: object) -> Spec:
    """Return the spec of the result for matrices, of floats."""
    if x.ndim < 2:
        raise ShapeError(f"matrices are needed, (..., rows, columns), got shape {x.shape}.")
    return floating(x)


def squares(x: Spec, **_: object) -> Spec:
    """Return the spec of the result for square matrices."""
    out = matrices(x)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"square matrices are needed, got shape {x.shape}.")
    return out


def turned(x: Tensor) -> Tensor:
    """Return the transposed matrices."""
    return in_order(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def product(*factors: Tensor) -> Tensor:
    """Return the product of matrices, from the left."""
    first, *others = factors
    for other in others:
        first = matmul(first, other)
    return first


def mask(x: Tensor, name: str) -> Tensor:
    """Return ones on and below the diagonal ("lower"), on and above it ("upper"), or on it ("diagonal"), else zeros."""
    return triangle(x, part=name)


def _triangle(x: Spec, *, part: str) -> Spec:
    return matrices(x).with_shape(x.shape[-2:])


@op(_triangle, flops=cost.free)
def triangle(xp: ModuleType, out: Array, x: Array, *, part: str) -> None:
    """Return ones in a part of a matrix of the shape and dtype of those in x: "lower", "upper" or "diagonal"."""
    rows, columns = xp.arange(out.shape[0])[:, None], xp.arange(out.shape[1])
    out[...] = rows >= columns if part == "lower" else rows <= columns if part == "upper" else rows == columns


@op(squares)
def cholesky(xp: ModuleType, out: Array, x: Array) -> None:
    """Return the lower triangular L with L @ transposed(L) = x, for symmetric positive definite matrices."""
    out[...] = xp.linalg.cholesky(x.astype(out.dtype))


def _of_cholesky(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    # Source: Murray, "Differentiation of the Cholesky decomposition", 2016, (9) and (10).
    half = mask(y, "lower") - mask(y, "diagonal") * 0.5
    inner = multiply(product(turned(y), g), half)
    outer = solve(turned(y), turned(solve(turned(y), turned(inner))))
    return _read_below(outer)


def _read_below(g: Tensor) -> Tensor:
    """Return the gradient for a symmetric matrix of which only the lower triangle is read."""
    return (g + turned(g)) * (mask(g, "lower") - mask(g, "diagonal") * 0.5)


cholesky.vjp(x=_of_cholesky)


@op(squares)
def inv(xp: ModuleType, out: Array, x: Array) -> None:
    """Return the inverses of matrices."""
    out[...] = xp.linalg.inv(x.astype(out.dtype))


inv.vjp(x=lambda g, y, x: -product(turned(y), g, turned(y)))


def _number(x: Spec) -> Spec:
    return squares(x).with_shape(x.shape[:-2])


@op(_number)
def det(xp: ModuleType, out: Array, x: Array) -> None:
    """Return the determinants of matrices."""
    out[...] = xp.linalg.det(x.astype(out.dtype))


def _numbers(x: Spec) -> tuple[Spec, Spec]:
    return _number(x), _number(x)


@op(_numbers, outs=2)
def slogdet(xp: ModuleType, sign: Array, log: Array, x: Array) -> None:
    """Return the signs of determinants, and the logarithms of their absolute values."""
    sign[...], log[...] = xp.linalg.slogdet(x.astype(log.dtype))


def _for_each(g: Tensor) -> Tensor:
    return reshape(g, (*g.shape, 1, 1))


det.vjp(x=lambda g, y, x: _for_each(g * y) * turned(inv(x)))
slogdet.vjp(x=lambda g, y, x: None if g[1] is None else _for_each(g[1]) * turned(inv(x)))


def _solved(a: Spec, b: Spec, **_: object) -> Spec:
    squares(a)
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ShapeError(f"the right sides of {a.shape} are (..., {a.shape[-1]}, columns), got {b.shape}.")
    lead = broadcast(a.shape[:-2], b.shape[:-2])
    return floating(Spec((*lead, *b.shape[-2:]), promote(a.dtype, b.dtype)))


@op(_solved)
def solve(xp: ModuleType, out: Array, a: Array, b: Array) -> None:
    """Return x with a @ x = b."""
    wide = xp.broadcast_to(a.astype(out.dtype), (*out.shape[:-2], *a.shape[-2:]))
    out[...] = xp.linalg.solve(wide, xp.broadcast_to(b.astype(out.dtype), out.shape))


def _of_solution(wanted: set[str], g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor | None, Tensor]:
    right = solve(turned(a), g)
    of_a = sum_to(-matmul(right, y, transpose_b=True), shape=a.shape) if "a" in wanted else None
    return of_a, sum_to(right, shape=b.shape)


solve.joint_vjp(("a", "b"), _of_solution)


def _qr(x: Spec, *, complete: bool = False) -> tuple[Spec, Spec]:
    out, (rows, columns) = matrices(x), x.shape[-2:]
    inner = rows if complete else min(rows, columns)
    lead = x.shape[:-2]
    return out.with_shape((*lead, rows, inner)), out.with_shape((*lead, inner, columns))


@op(_qr, outs=2)
def qr(xp: ModuleType, q: Array, r: Array, x: Array, *, complete: bool = False) -> None:
    """Return orthonormal columns q and an upper triangular r with q @ r = x; with `complete` q is square."""
    q[...], r[...] = xp.linalg.qr(x.astype(q.dtype), mode="complete" if complete else "reduced")


def _of_qr(g: Gradients, y: tuple[Tensor, Tensor], x: Tensor, complete: bool = False) -> Tensor:
    # Source: Walter, Lehmann and Lamour, "On evaluating higher-order derivatives of the QR decomposition", 2012.
    (q, r), (of_q, of_r) = y, g
    if x.shape[-1] > x.shape[-2] or (complete and x.shape[-1] < x.shape[-2]):
        raise NotImplementedError("the gradient of qr needs matrices that are not wider than high, and mode='reduced'.")
    inner = total(
        None if of_r is None else product(r, turned(of_r)), None if of_q is None else -product(turned(of_q), q)
    )
    assert inner is not None
    lower = mask(inner, "lower")
    symmetric = inner * lower + turned(inner * (lower - mask(inner, "diagonal")))
    left = total(of_q, product(q, symmetric))
    assert left is not None
    return turned(solve(r, turned(left)))


qr.vjp(x=_of_qr)


def _eigen(x: Spec) -> tuple[Spec, Spec]:
    out = squares(x)
    return out.with_shape(x.shape[:-1]), out


@op(_eigen, outs=2)
def eigh(xp: ModuleType, values: Array, vectors: Array, x: Array) -> None:
    """Return the eigenvalues of symmetric matrices, rising, and their eigenvectors as columns; x is read below."""
    values[...], vectors[...] = xp.linalg.eigh(x.astype(values.dtype))


def inverse_differences(values: Tensor) -> Tensor:
    """Return 1 / (value of the column - value of the row), 0 on the diagonal."""
    *lead, n = values.shape
    apart = reshape(values, (*lead, 1, n)) - reshape(values, (*lead, n, 1))
    own = broadcast_to(mask(apart, "diagonal"), shape=apart.shape) > 0
    return where(own, 0.0, divide(1.0, where(own, 1.0, apart)))


def diagonal(values: Tensor) -> Tensor:
    """Return matrices with the last axis of `values` on their diagonals."""
    wide = broadcast_to(reshape(values, (*values.shape, 1)), shape=(*values.shape, values.shape[-1]))
    return wide * mask(wide, "diagonal")


def _of_eigh(g: Gradients, y: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
    # Source: Giles, "An extended collection of matrix derivative results", 2008, 3.1.
    (values, vectors), (of_values, of_vectors) = y, g
    inner = total(
        None if of_values is None else diagonal(of_values),
        None if of_vectors is None else inverse_differences(values) * product(turned(vectors), of_vectors),
    )
    assert inner is not None
    return _read_below(product(vectors, inner, turned(vectors)))


eigh.vjp(x=_of_eigh)
