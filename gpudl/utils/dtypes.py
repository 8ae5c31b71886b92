"""Dtypes by name, and what kind they are."""

from __future__ import annotations

import numpy as np

from gpudl.engine.default_float import floatx
from gpudl.engine.spec import is_floating, is_number, promote

_PYTHON = {bool: "bool", int: "int32", float: "float32"}


def standardize_dtype(dtype: object) -> str:
    """Return the name of a dtype.

    Args:
        dtype: a dtype, its name, one of Python's types of numbers, or None for `config.floatx`.

    Raises:
        ValueError: it is no dtype of numbers or bools.

    Example:
        >>> standardize_dtype(np.float64), standardize_dtype(int), standardize_dtype(None)
        ('float64', 'int32', 'float32')
    """
    if dtype is None:
        return floatx()
    try:
        found = np.dtype(_PYTHON.get(dtype, dtype))  # type: ignore[call-overload]
        if is_number(found):
            return str(found.name)
    except TypeError:
        pass
    raise ValueError(f"expected a dtype of numbers such as 'float32', got {dtype!r}.")


def is_float_dtype(dtype: object) -> bool:
    """Return whether a dtype is one of floating-point numbers.

    Example:
        >>> is_float_dtype("bfloat16"), is_float_dtype("int8")
        (True, False)
    """
    return is_floating(np.dtype(standardize_dtype(dtype)))


def is_int_dtype(dtype: object) -> bool:
    """Return whether a dtype is one of integers, with or without a sign.

    Example:
        >>> is_int_dtype("uint8"), is_int_dtype("bool")
        (True, False)
    """
    return np.dtype(standardize_dtype(dtype)).kind in "iu"


def result_type(*dtypes: object) -> str:
    """Return the dtype of an operation on values of these dtypes, by name; `int` and `float` give way to others.

    Example:
        >>> result_type("int32", "float16"), result_type("int8", int), result_type(int, float)
        ('float16', 'int8', 'float32')
    """
    known = [np.dtype(standardize_dtype(dtype)) for dtype in dtypes if dtype not in (int, float)]
    found = promote(*known) if known else np.dtype(np.int32)
    return found.name if float not in dtypes or is_floating(found) else floatx()
