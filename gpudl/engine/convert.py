"""Conversion of numbers and arrays to tensors."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from gpudl import backend
from gpudl.backend import Array, Backend
from gpudl.engine.spec import is_floating, is_number
from gpudl.engine.tensor import Tensor, TensorLike, faces


@lru_cache(maxsize=4096)  # more than a step has; bounded, since a number may differ each time
def _constant(text: str, value: float | bool, dtype: np.dtype, on: Backend) -> Tensor:
    return Tensor(on.asarray(np.array(value, dtype)))


def constant(value: float | bool, dtype: np.dtype, on: Backend) -> Tensor:
    """Return a 0-d tensor that is created once per value, dtype and device, so that a step uploads nothing."""
    # The text distinguishes 1 from True, and 0.0 from -0.0.
    return _constant(repr(value), value, dtype, on)  # type: ignore[arg-type]


def as_tensor(value: object, like: Tensor | None = None) -> Tensor:
    """Return `value` as a tensor; Python numbers get the dtype of `like`, and never widen it.

    Raises:
        TypeError: text, objects, or anything else that is not numbers.
    """
    if isinstance(value, Tensor):
        return value
    on = backend.current() if like is None else like.on
    if isinstance(value, bool | int | float) and not isinstance(value, np.generic):
        return constant(value, _scalar_dtype(value, like), on)
    is_array = hasattr(value, "dtype")
    array: Array = value if on.owns(value) else backend.get("numpy").asarray(value)
    if not is_number(array.dtype) and array.dtype.kind != "c":
        raise TypeError(
            f"expected numbers, got {type(value).__name__} of dtype {array.dtype}. "
            "Convert text and objects to numbers first."
        )
    if on.owns(value):
        return Tensor(value)
    if not is_array:
        array = _narrowed(array)
    return Tensor(on.asarray(array))


def _narrowed(array: np.ndarray) -> np.ndarray:
    """Return NumPy's array of Python numbers in 32 bits, or in 64 if they are integers that need more."""
    if array.dtype == np.float64:
        return array.astype(np.float32)
    fits = array.dtype == np.int64 and (not array.size or -(2**31) <= array.min() <= array.max() < 2**31)
    return array.astype(np.int32) if fits else array


def operand(value: TensorLike, like: Tensor | None = None) -> Tensor:
    """Return an operand of an op as a tensor, like `as_tensor`, but a float64 of NumPy does not widen `like`.

    float64 is NumPy's default and hardly ever intended: beside a tensor of another dtype it becomes float32.
    """
    if isinstance(value, Tensor):
        return value
    if like is not None and like.dtype != np.float64 == getattr(value, "dtype", None):
        wide: Array = value
        value = wide.astype(np.float32)
    return as_tensor(value, like)


def convert_to_tensor(value: object, dtype: DTypeLike | None = None) -> Tensor:
    """Return `value` as a tensor on the current backend, in `dtype` if it is given.

    Args:
        value: a tensor, an array, a number, or nested lists of numbers.
        dtype: a dtype or its name, ``"bfloat16"`` among them; by default that of an array or a tensor, float32 for
            Python floats, int32 for Python integers.

    Raises:
        TypeError: text, objects, or anything else that is not numbers; an unknown dtype.

    Example:
        >>> gpudl.convert_to_tensor([1.0, 0.1], dtype="bfloat16").numpy()
        array([1, 0.100098], dtype=bfloat16)
    """
    tensor = as_tensor(value)
    if dtype is None or tensor.dtype == np.dtype(dtype):
        return tensor
    return faces["cast"](tensor, dtype=np.dtype(dtype))


def _scalar_dtype(value: float | bool, like: Tensor | None) -> np.dtype:
    if like is not None and (is_floating(like.dtype) or (isinstance(value, int) and like.dtype.kind in "iu")):
        return like.dtype
    if isinstance(value, bool):
        return np.dtype(bool)
    return np.dtype(np.float32 if isinstance(value, float) else np.int32)
