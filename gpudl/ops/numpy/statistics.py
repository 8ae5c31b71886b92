"""NumPy's statistics along axes, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from gpudl.engine.convert import operand
from gpudl.engine.spec import FLOAT32, ShapeError, is_floating, is_half, promote
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import Axis, plain
from gpudl.ops.numpy.reductions import max as largest
from gpudl.ops.numpy.reductions import min as smallest
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.elementwise import cast, cast_like, multiply, square, subtract
from gpudl.ops.primitives.exponential import sqrt
from gpudl.ops.primitives.lapack import mask, turned
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.reduce import axes_of
from gpudl.ops.primitives.shape import reshape

__all__ = [
    "amax",
    "amin",
    "average",
    "corrcoef",
    "ptp",
    "std",
    "var",
]


def floats(x: TensorLike) -> Tensor:
    """Return integers and bools as float32, and floats unchanged."""
    x = operand(x)
    return x if is_floating(x.dtype) else cast(x, dtype=FLOAT32)


def amax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the maximum along `axis`, by default of all elements, see `max`.

    Example:
        >>> amax([[1.0, 5.0], [3.0, 4.0]], axis=1).numpy()
        array([5., 4.], dtype=float32)
    """
    return largest(x, axis, keepdims)


def amin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the minimum along `axis`, by default of all elements, see `min`.

    Example:
        >>> amin([[1.0, 5.0], [3.0, 4.0]], axis=1).numpy()
        array([1., 3.], dtype=float32)
    """
    return smallest(x, axis, keepdims)


def ptp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the maximum less the minimum along `axis`, by default of all elements.

    Example:
        >>> ptp([[1.0, 5.0], [3.0, 4.0]], axis=1).numpy()
        array([4., 1.], dtype=float32)
    """
    return subtract(largest(x, axis, keepdims), smallest(x, axis, keepdims))


def average(x: TensorLike, axis: Axis = None, weights: TensorLike | None = None) -> Tensor:
    """Return the weighted mean along `axis`, by default of all elements.

    Args:
        x: a tensor.
        axis: the axes of the mean.
        weights: in the shape of x, or one for each position along the one `axis`; None for equal ones.

    Raises:
        ShapeError: weights of another shape.

    Example:
        >>> average([1.0, 2.0], weights=[3.0, 1.0]).item()
        1.25
    """
    x, along = floats(x), plain(axis)
    if weights is None:
        return reduce.mean(x, along)
    w = operand(weights, x)
    dtype = promote(x.dtype, w.dtype)
    x, w = cast(x, dtype=dtype), cast(w, dtype=dtype)
    axes = axes_of(x.ndim, along)
    if w.shape != x.shape:
        if len(axes) != 1 or w.shape != (x.shape[axes[0]],):
            raise ShapeError(
                f"average of {x.shape} along {axis} needs weights of that shape, or of one axis: {w.shape}."
            )
        w = reduce.broadcast_to(reshape(w, [n if a in axes else 1 for a, n in enumerate(x.shape)]), shape=x.shape)
    return reduce.sum(multiply(x, w), axis=axes) / reduce.sum(w, axis=axes)


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the variance along `axis`, by default of all elements: the mean of (x - mean)**2.

    Example:
        >>> var([[1.0, 3.0], [2.0, 6.0]], axis=1).numpy()
        array([1., 4.], dtype=float32)
    """
    x, along = floats(x), plain(axis)
    wide = cast(x, dtype=FLOAT32) if is_half(x.dtype) else x
    result = reduce.mean(square(wide - reduce.mean(wide, along, True)), along, bool(keepdims))
    return cast_like(result, x)


def std(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the standard deviation along `axis`, by default of all elements, the square root of `var`.

    Example:
        >>> std([[1.0, 3.0], [2.0, 6.0]], axis=1).numpy()
        array([1., 2.], dtype=float32)
    """
    return sqrt(var(x, axis, keepdims))


def corrcoef(x: TensorLike) -> Tensor:
    """Return the correlation of each row of x with each other: a matrix, or 1 for one row.

    Example:
        >>> corrcoef([[1.0, 2.0, 3.0], [2.0, 1.0, 0.0]]).numpy()
        array([[ 1., -1.],
               [-1.,  1.]], dtype=float32)
    """
    x = floats(x)
    rows = reshape(x, (1, -1)) if x.ndim < 2 else x
    centered = rows - reduce.mean(rows, -1, True)
    products = matmul(centered, centered, transpose_b=True)
    sizes = sqrt(reduce.sum(products * mask(products, "diagonal"), axis=-1, keepdims=True))
    result = products / sizes / turned(sizes)
    return reshape(result, ()) if x.ndim < 2 else result
