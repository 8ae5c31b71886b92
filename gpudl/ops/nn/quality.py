"""How near images are to others, with Keras's arguments and dtypes."""

from __future__ import annotations

import math

from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.statistics import floats
from gpudl.ops.primitives import library, reduce
from gpudl.ops.primitives.elementwise import square

__all__ = [
    "psnr",
]


def psnr(x1: TensorLike, x2: TensorLike, max_val: float) -> Tensor:
    """Return the peak signal-to-noise ratio of two tensors, in decibels: 10 log10(max_val**2 / mean((x1 - x2)**2)).

    Args:
        x1: a tensor.
        x2: another one of the same shape.
        max_val: the largest value that they can have.

    Raises:
        ShapeError: different shapes.

    Example:
        >>> float(psnr([0.0, 1.0], [0.0, 2.0], 1.0)).__round__(2)
        3.01
    """
    a, b = floats(x1), floats(x2)
    if a.shape != b.shape:
        raise ShapeError(f"psnr compares tensors of one shape, got {a.shape} and {b.shape}.")
    error = reduce.mean(square(a - b))
    return 20.0 * math.log10(max_val) - library.log10(error) * 10.0
