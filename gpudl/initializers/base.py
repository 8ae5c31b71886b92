"""The base of all initializers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import DTypeLike

from gpudl.registry import Configurable, Family
from gpudl.utils.checks import sizes

__all__ = ["Initializer"]

Shape = Sequence[int]


class Initializer(Configurable):
    """The base of all initializers: a function from a shape and a dtype to an array."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> np.ndarray:
        """Return an array of `shape` in `dtype`, by default ``config.floatx()``."""
        raise NotImplementedError(f"{type(self).__name__} needs a __call__(shape, dtype=None).")

    def clone(self) -> Self:
        """Return a new initializer with the same arguments."""
        return type(self).from_config(self.get_config())

    def _sizes(self, shape: Shape) -> tuple[int, ...]:
        """Return a shape as a tuple of integers; raise ValueError if it is not one."""
        kind = type(self).__name__
        known = [n for n in sizes(kind, "shape", shape) if n is not None]
        if len(known) < len(shape):
            raise ValueError(f"{kind}: shape must have no None, got {shape!r}. Weights have known sizes.")
        return tuple(known)


INITIALIZERS: Family[Callable[..., np.ndarray], None] = Family("initializer", Initializer)
