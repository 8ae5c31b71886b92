"""Numbers in another dtype: by their bytes, or without overflow; with Keras's arguments."""

from __future__ import annotations

import builtins

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine.convert import as_tensor, operand
from gpudl.engine.spec import FLOAT32, is_floating, is_half, limits
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.elementwise import cast, clip
from gpudl.ops.numpy.selection import where
from gpudl.ops.primitives import logic
from gpudl.ops.primitives.shape import reinterpret

__all__ = [
    "saturate_cast",
    "view",
]


def view(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return the bytes of x as elements of another dtype, of which the last axis has more or fewer.

    Raises:
        ShapeError: the bytes along the last axis are no whole number of elements.

    Example:
        >>> view([1.0], "int32").numpy()
        array([1065353216], dtype=int32)
    """
    x = operand(x)
    return reinterpret(x, dtype=x.dtype if dtype is None else np.dtype(dtype))


def saturate_cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """Return x in another dtype; numbers outside of its range become its least or greatest number, and NaN 0.

    NaN stays NaN in a floating-point dtype.

    Example:
        >>> saturate_cast([300.0, -1.0, 7.9], "uint8").numpy()
        array([255,   0,   7], dtype=uint8)
    """
    x, kind = operand(x), np.dtype(dtype)
    low, high = limits(kind)
    if is_half(x.dtype) and x.dtype != kind:
        x = cast(x, FLOAT32)
    own_low, own_high = limits(x.dtype)
    if is_floating(kind) or kind == np.bool_ or not is_floating(x.dtype):
        if x.dtype == np.bool_ or (low <= own_low and own_high <= high):
            return cast(x, kind)
        return cast(clip(x, builtins.max(low, own_low), builtins.min(high, own_high)), kind)
    # The greatest integer may not be a float, and the next one may be too large.
    inside = logic.logical_and(logic.greater_equal(x, float(low)), logic.less(x, float(high)))
    whole = cast(where(inside, x, 0.0), kind)
    outside = where(
        logic.greater_equal(x, float(high)), as_tensor(np.asarray(high, kind)), as_tensor(np.asarray(low, kind))
    )
    return where(logic.logical_or(inside, logic.not_equal(x, x)), whole, outside)
