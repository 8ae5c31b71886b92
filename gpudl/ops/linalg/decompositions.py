"""Linear algebra, with Keras's arguments, defaults and dtypes; the matrices are the last two axes.

Matrices are decomposed by the LAPACK of NumPy and CuPy. A GPU's step with such a function cannot be captured.
"""

from __future__ import annotations

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import FLOAT32, ShapeError, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.reductions import max as largest
from gpudl.ops.numpy.reductions import sum as total
from gpudl.ops.primitives import lapack, singular
from gpudl.ops.primitives.elementwise import cast, multiply
from gpudl.ops.primitives.exponential import log
from gpudl.ops.primitives.lapack import mask, product, turned
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "det",
    "eig",
    "eigh",
    "inv",
    "logdet",
    "lstsq",
    "lu_factor",
    "matrix_rank",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
]

det, eig, inv, lu_factor, slogdet = lapack.det, singular.eig, lapack.inv, singular.lu_factor, lapack.slogdet


def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """Return the triangular factor L of symmetric positive definite matrices, L @ transposed(L) = x.

    Args:
        x: matrices (..., n, n), of each of which the mean with its transpose is decomposed.
        upper: return transposed(L) instead.

    Raises:
        ShapeError: the matrices are not square.

    Example:
        >>> cholesky([[4.0, 2.0], [2.0, 2.0]]).numpy()
        array([[2., 0.],
               [1., 1.]], dtype=float32)
    """
    lower = lapack.cholesky(_symmetric(x))
    return turned(lower) if upper else lower


def cholesky_inverse(x: TensorLike, upper: bool = False) -> Tensor:
    """Return the inverses of matrices from their factors, which `cholesky` returns.

    Args:
        x: triangular factors (..., n, n).
        upper: whether they are the upper ones.

    Example:
        >>> cholesky_inverse([[2.0, 0.0], [0.0, 1.0]]).numpy()
        array([[0.25, 0.  ],
               [0.  , 1.  ]], dtype=float32)
    """
    factor = _floats(x)
    inverse = lapack.inv(factor * mask(factor, "upper" if upper else "lower"))
    return product(inverse, turned(inverse)) if upper else product(turned(inverse), inverse)


def _floats(x: TensorLike) -> Tensor:
    x = operand(x)
    return x if is_floating(x.dtype) else cast(x, dtype=FLOAT32)


def _symmetric(x: TensorLike) -> Tensor:
    """Return the mean of matrices and their transposes, which gives both triangles the same gradient."""
    x = _floats(x)
    lapack.squares(x.spec)
    return (x + turned(x)) * 0.5


def logdet(x: TensorLike) -> Tensor:
    """Return the logarithms of the determinants of matrices, NaN where these are negative.

    Example:
        >>> float(logdet([[2.0, 0.0], [0.0, 3.0]])).__round__(3)
        1.792
    """
    sign, size = lapack.slogdet(x)
    return size + log(sign)


def eigh(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues of symmetric matrices, rising, and their eigenvectors as columns.

    Args:
        x: matrices (..., n, n); the mean of x and its transpose is decomposed.

    Example:
        >>> eigh([[2.0, 0.0], [0.0, 1.0]])[0].numpy()
        array([1., 2.], dtype=float32)
    """
    return lapack.eigh(_symmetric(x))


def qr(x: TensorLike, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Return matrices q of orthonormal columns and upper triangular r, with q @ r = x.

    Args:
        x: matrices (..., rows, columns).
        mode: ``"reduced"`` for as few columns of q as there are rows of r; ``"complete"`` for a square q.

    Raises:
        ValueError: another mode.

    Example:
        >>> [t.shape for t in qr(np.ones((3, 2), "float32"))]
        [(3, 2), (2, 2)]
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}.")
    return lapack.qr(x, complete=mode == "complete")


def svd(x: TensorLike, full_matrices: bool = True, compute_uv: bool = True) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Return the singular value decomposition u, s, v with u @ diagonal(s) @ v = x.

    Args:
        x: matrices (..., rows, columns).
        full_matrices: whether u and v are square; else they have as many columns and rows as s has values.
        compute_uv: False returns s alone, the singular values, falling.

    Example:
        >>> svd([[3.0, 0.0], [0.0, 4.0]], compute_uv=False).numpy()
        array([4., 3.], dtype=float32)
    """
    return singular.svd(x, full=bool(full_matrices)) if compute_uv else singular.singular_values(x)


def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """Return x with a @ x = b.

    Args:
        a: matrices (..., n, n).
        b: right sides (..., n, columns), or one less axis for one column.

    Raises:
        ShapeError: shapes that do not fit.

    Example:
        >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).numpy()
        array([1. , 0.5], dtype=float32)
    """
    a, b = operand(a), operand(b)
    if b.ndim == a.ndim - 1:
        return reshape(lapack.solve(a, reshape(b, (*b.shape, 1))), b.shape)
    return lapack.solve(a, b)


def solve_triangular(a: TensorLike, b: TensorLike, lower: bool = False) -> Tensor:
    """Return x with a @ x = b for triangular matrices.

    Args:
        a: matrices (..., n, n), of which one triangle is read.
        b: right sides, see `solve`.
        lower: whether it is the lower triangle.

    Example:
        >>> solve_triangular([[2.0, 9.0], [0.0, 4.0]], [11.0, 4.0]).numpy()
        array([1., 1.], dtype=float32)
    """
    a = _floats(a)
    return solve(multiply(a, mask(a, "lower" if lower else "upper")), b)


def pinv(x: TensorLike, rcond: float | None = None) -> Tensor:
    """Return the pseudoinverses of matrices.

    Args:
        x: matrices (..., rows, columns).
        rcond: singular values up to this times the largest count as 0; None for 10 * max(rows, columns) times the
            smallest step of the dtype.

    Example:
        >>> pinv([[2.0, 0.0], [0.0, 0.0]]).numpy()
        array([[0.5, 0. ],
               [0. , 0. ]], dtype=float32)
    """
    x = _floats(x)
    return singular.pinv(x, rcond=10 * _least(x) if rcond is None else float(rcond))


def _least(x: Tensor) -> float:
    wide = x.dtype if x.dtype.itemsize > 2 else FLOAT32
    return max(x.shape[-2:], default=1) * float(np.finfo(wide).eps)


def lstsq(a: TensorLike, b: TensorLike, rcond: float | None = None) -> Tensor:
    """Return the shortest of the x that make a @ x nearest to b.

    Args:
        a: a matrix (rows, columns).
        b: right sides (rows, columns of x), or (rows,).
        rcond: singular values of `a` up to this times the largest count as 0; None for max(rows, columns) times the
            smallest step of the dtype.

    Raises:
        ShapeError: shapes that do not fit.

    Example:
        >>> lstsq([[1.0], [1.0]], [1.0, 3.0]).numpy().round(3)
        array([2.], dtype=float32)
    """
    a, b = _floats(a), operand(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or b.shape[0] != a.shape[0]:
        raise ShapeError(f"lstsq needs a matrix and as many rows of right sides, got {a.shape} and {b.shape}.")
    inverse = singular.pinv(a, rcond=_least(a) if rcond is None else float(rcond))
    if b.ndim == 2:
        return product(inverse, b)
    return reshape(product(inverse, reshape(b, (-1, 1))), -1)


def matrix_rank(x: TensorLike, tol: float | None = None) -> Tensor:
    """Return, as int32, how many singular values of matrices are above a tolerance.

    Args:
        x: matrices (..., rows, columns).
        tol: the tolerance; None for max(rows, columns) times the smallest step of the dtype times the largest value.

    Example:
        >>> matrix_rank([[1.0, 1.0], [1.0, 1.0]]).item()
        1
    """
    x = _floats(x)
    values = singular.singular_values(x)
    least = largest(values, axis=-1, keepdims=True) * _least(x) if tol is None else float(tol)
    return total(values > least, axis=-1)
