"""The shape and dtype of a value, and the error for unsupported ones."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

Shape = tuple[int, ...]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT16 = np.dtype(np.float16)
FLOAT32 = np.dtype(np.float32)
TEXT = np.dtype(str)


class ShapeError(ValueError):
    """Shapes or dtypes that an op or a layer does not support."""


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
        """Return a spec with the same dtype and another shape."""
        return Spec(shape, self.dtype)

    def with_dtype(self, dtype: np.dtype | str) -> Spec:
        """Return a spec with the same shape and another dtype."""
        return Spec(self.shape, np.dtype(dtype))


def is_floating(dtype: np.dtype) -> bool:
    """Return whether `dtype` is a real floating-point type; NumPy's own `kind` does not say so of bfloat16."""
    return dtype.kind == "f" or dtype == BFLOAT16


def is_half(dtype: np.dtype) -> bool:
    """Return whether `dtype` is a 16-bit float, float16 or bfloat16."""
    return dtype in (FLOAT16, BFLOAT16)


def as_dtype(dtype: DTypeLike) -> np.dtype:
    """Return a dtype of NumPy's; ``"string"`` is that of text, which layers on the host take and no op does.

    Example:
        >>> as_dtype("string") == TEXT, as_dtype("int8")
        (True, dtype('int8'))
    """
    return TEXT if isinstance(dtype, str) and dtype == "string" else np.dtype(dtype)


def limits(dtype: np.dtype) -> tuple[float, float]:
    """Return the least and the greatest finite number of `dtype`.

    Example:
        >>> import numpy as np
        >>> limits(np.dtype("int8"))
        (-128, 127)
    """
    if dtype.kind == "b":
        return 0, 1
    if not is_floating(dtype):
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    greatest = float.fromhex("0x1.fep127") if dtype == BFLOAT16 else float(np.finfo(dtype).max)
    return -greatest, greatest


def added_in(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which sums over `dtype` are accumulated: float64 for floats, against rounding errors."""
    return np.dtype(np.float64) if is_floating(dtype) else dtype


def is_number(dtype: np.dtype) -> bool:
    """Return whether tensors can have `dtype`: bools, integers and real floats."""
    return dtype.kind in "biu" or is_floating(dtype)


def promote(*dtypes: np.dtype) -> np.dtype:
    """Return the dtype of an operation on `dtypes`: the widest float, if there is one.

    Unlike in NumPy, an integer never widens a float: int32 with float32 gives float32. float16 with bfloat16 gives
    float32, which represents both.

    Example:
        >>> import numpy as np
        >>> promote(np.dtype("int64"), np.dtype("float32"))
        dtype('float32')
        >>> promote(np.dtype("float16"), np.dtype("bfloat16"))
        dtype('float32')
    """
    floats = {d for d in dtypes if is_floating(d)}
    if len(floats) > 1:  # NumPy has no common dtype of bfloat16 and another float
        floats = {FLOAT32 if d == BFLOAT16 else d for d in floats}
    if any(d.kind == "c" for d in dtypes):  # which integers do not widen either
        return np.result_type(*(FLOAT32 if d.kind in "biu" or is_half(d) else d for d in dtypes))
    return np.result_type(*(floats or dtypes))


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape that `shapes` broadcast to; raise ShapeError if they do not."""
    try:
        result = np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(str(s) for s in shapes)
        raise ShapeError(
            f"shapes {listed} do not broadcast: aligned from the right, each pair of sizes must be equal "
            "or contain a 1."
        ) from None
    for shape in shapes:
        if shape == result:
            return shape  # whose sizes may be `Unknown`
    return result
