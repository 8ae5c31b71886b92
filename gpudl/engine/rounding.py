"""Rounding to 16-bit floats, whose range is small."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array


def rounded(xp: ModuleType, out: Array, x: Array) -> None:
    """Set out to x cast to the dtype of out; values that are too large become infinite."""
    with quiet():
        xp.copyto(out, x.real if x.dtype.kind == "c" != out.dtype.kind else x, casting="unsafe")


def quiet() -> np.errstate:
    """Suppress NumPy's warnings about values that a 16-bit float cannot represent, as on a GPU."""
    return np.errstate(over="ignore", invalid="ignore")
