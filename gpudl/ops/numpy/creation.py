"""Arrays of given shapes and values, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.primitives import elementwise

__all__ = [
    "ones_like",
    "zeros_like",
]


def ones_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return ones in the shape of x, and in its dtype by default.

    Example:
        >>> ones_like([3.0, 4.0], dtype="int32").numpy()
        array([1, 1], dtype=int32)
    """
    ones = elementwise.ones_like(x)
    return ones if dtype is None or ones.dtype == np.dtype(dtype) else cast(ones, dtype)


def zeros_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return zeros in the shape of x, and in its dtype by default.

    Example:
        >>> zeros_like([3.0, 4.0]).numpy()
        array([0., 0.], dtype=float32)
    """
    zeros = elementwise.zeros_like(x)
    return zeros if dtype is None or zeros.dtype == np.dtype(dtype) else cast(zeros, dtype)
