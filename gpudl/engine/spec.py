"""Shape and dtype of a value, and the error for those that do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import ml_dtypes
import numpy as np

Shape = tuple[int, ...]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT16 = np.dtype(np.float16)
FLOAT32 = np.dtype(np.float32)


class ShapeError(ValueError):
    """Shapes or dtypes that an op or a layer cannot work with."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The shape and dtype of an array.

    Example:
        >>> import numpy as np
        >>> Spec((2, 3), np.dtype("float32")).nbytes
        24
    """

    shape: Shape
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.dtype.itemsize

    def with_shape(self, shape: Shape) -> Spec:
        """Return the same dtype with another shape."""
        return Spec(shape, self.dtype)

    def with_dtype(self, dtype: np.dtype | str) -> Spec:
        """Return the same shape with another dtype."""
        return Spec(self.shape, np.dtype(dtype))


def is_floating(dtype: np.dtype) -> bool:
    """Tell whether `dtype` is a real float; NumPy's own kind of bfloat16, which it got from outside, is another."""
    return dtype.kind == "f" or dtype == BFLOAT16


def is_half(dtype: np.dtype) -> bool:
    """Tell whether `dtype` is a float of 16 bits, float16 or bfloat16."""
    return dtype in (FLOAT16, BFLOAT16)


def added_in(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which many numbers of `dtype` are added up: float64 for floats, whose sums would drift."""
    return np.dtype(np.float64) if is_floating(dtype) else dtype


def is_number(dtype: np.dtype) -> bool:
    """Tell whether `dtype` is one that tensors can have: bools, integers and real floats."""
    return dtype.kind in "biu" or is_floating(dtype)


def promote(*dtypes: np.dtype) -> np.dtype:
    """Return the dtype of an operation on `dtypes`: the widest float where there is one.

    Unlike NumPy, an integer never widens a float: int32 with float32 stays float32. float16 and bfloat16 together
    become float32, which holds both.

    Example:
        >>> import numpy as np
        >>> promote(np.dtype("int64"), np.dtype("float32"))
        dtype('float32')
        >>> promote(np.dtype("float16"), np.dtype("bfloat16"))
        dtype('float32')
    """
    floats = {d for d in dtypes if is_floating(d)}
    if len(floats) > 1:  # NumPy knows no common dtype of bfloat16 and another
        floats = {FLOAT32 if d == BFLOAT16 else d for d in floats}
    return np.result_type(*(floats or dtypes))


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape that `shapes` broadcast to; raises ShapeError when they do not."""
    try:
        result = np.broadcast_shapes(*shapes)
        return next((shape for shape in shapes if shape == result), result)  # whose sizes may stand for unknown ones
    except ValueError:
        listed = " and ".join(str(s) for s in shapes)
        raise ShapeError(
            f"shapes {listed} do not broadcast: aligned from the right, each pair of sizes must be equal "
            "or contain a 1."
        ) from None
