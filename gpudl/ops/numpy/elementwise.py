"""NumPy's elementwise functions of which not all arguments are tensors, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

import builtins

import numpy as np
from numpy.typing import DTypeLike

from gpudl.engine.convert import operand
from gpudl.engine.spec import is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.primitives import elementwise, logic

__all__ = [
    "cast",
    "clip",
    "divide_no_nan",
    "true_divide",
]


def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """Return x in another dtype; a float that is too large for it becomes infinite.

    Example:
        >>> cast([1.5, -2.5], "int32").numpy()
        array([ 1, -2], dtype=int32)
    """
    return elementwise.cast(x, dtype=np.dtype(dtype))


def clip(x: TensorLike, x_min: TensorLike, x_max: TensorLike) -> Tensor:
    """Return x limited to [x_min, x_max], numbers or arrays; None is no limit. With numbers the gradient is 0 outside.

    Example:
        >>> clip([-1.0, 0.5, 2.0], 0, 1).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    x = operand(x)
    if isinstance(x_min, int | float) and isinstance(x_max, int | float):
        if not (is_floating(x.dtype) or (isinstance(x_min, int) and isinstance(x_max, int))):
            x = cast(x, np.float32)
        if x.dtype.kind in "iu":  # which may not hold the limits
            held = np.iinfo(x.dtype)
            x_min, x_max = (builtins.min(builtins.max(limit, held.min), held.max) for limit in (x_min, x_max))
        return elementwise.clip(x, low=x_min, high=x_max)
    if x.dtype == np.bool_:
        x = cast(x, np.int32)
    if x_min is not None:
        x = elementwise.maximum(x, x_min)
    return x if x_max is None else elementwise.minimum(x, x_max)


def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 / x2, like `divide`: integers become floats.

    Example:
        >>> true_divide([1, 2], 2).numpy()
        array([0.5, 1. ], dtype=float32)
    """
    return elementwise.divide(x1, x2)


def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return x1 / x2, broadcast, and 0 where x2 is 0.

    Example:
        >>> divide_no_nan([1.0, 1.0], [2.0, 0.0]).numpy()
        array([0.5, 0. ], dtype=float32)
    """
    x2 = operand(x2, x1 if isinstance(x1, Tensor) else None)
    empty = logic.equal(x2, 0)
    return elementwise.where(empty, 0.0, elementwise.divide(x1, elementwise.where(empty, 1, x2)))
