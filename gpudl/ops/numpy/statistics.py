"""NumPy's statistics along axes, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

from gpudl.engine.convert import operand
from gpudl.engine.spec import FLOAT32, is_floating, is_half
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.axes import Axis, plain
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.elementwise import cast, cast_like, square
from gpudl.ops.primitives.exponential import sqrt

__all__ = [
    "std",
    "var",
]


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the variance along `axis`, by default of all elements: the mean of (x - mean)**2.

    Example:
        >>> var([[1.0, 3.0], [2.0, 6.0]], axis=1).numpy()
        array([1., 4.], dtype=float32)
    """
    x, along = operand(x), plain(axis)
    wide = x if is_floating(x.dtype) and not is_half(x.dtype) else cast(x, dtype=FLOAT32)
    result = reduce.mean(square(wide - reduce.mean(wide, along, True)), along, bool(keepdims))
    return cast_like(result, x) if is_half(x.dtype) else result


def std(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the standard deviation along `axis`, by default of all elements, the square root of `var`.

    Example:
        >>> std([[1.0, 3.0], [2.0, 6.0]], axis=1).numpy()
        array([1., 2.], dtype=float32)
    """
    return sqrt(var(x, axis, keepdims))
