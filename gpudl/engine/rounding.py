"""Numbers that a float of 16 bits cannot hold."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array


def rounded(xp: ModuleType, out: Array, x: Array) -> None:
    """Set out to x in the dtype of out; what is too large becomes infinite."""
    with quiet():
        xp.copyto(out, x, casting="unsafe")


def quiet() -> np.errstate:
    """Let NumPy be as silent as a GPU is about what a float of 16 bits cannot hold."""
    return np.errstate(over="ignore", invalid="ignore")
