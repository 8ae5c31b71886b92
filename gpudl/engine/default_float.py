"""The default floating-point dtype of the process, which is also that of the default dtype policy."""

from __future__ import annotations

import numpy as np

from gpudl.engine.state import changed

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_chosen = ["float32"]


def floatx() -> str:
    """Return the default float dtype of weights and data, e.g. ``"float32"``.

    Example:
        >>> import gpudl
        >>> gpudl.config.floatx()
        'float32'
    """
    return _chosen[0]


def set_floatx(value: str) -> None:
    """Set the default float dtype; raise ValueError for anything but float16, bfloat16, float32 or float64."""
    if value not in _FLOATS:
        raise ValueError(f"floatx must be one of {', '.join(_FLOATS)}, got {value!r}.")
    if value != _chosen[0]:
        _chosen[0] = value
        changed()


def float_dtype() -> np.dtype:
    """Return `floatx` as a NumPy dtype."""
    return np.dtype(floatx())
