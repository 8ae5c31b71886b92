"""The parts of complex numbers: pairs of real ones."""

from __future__ import annotations

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.primitives import elementwise, library
from gpudl.ops.primitives.shape import concatenate, reinterpret, reshape

__all__ = [
    "absolute",
]


def both(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the real and the imaginary parts of complex numbers."""
    pairs = reinterpret(reshape(x, (*x.shape, 1)), dtype=np.empty(0, x.dtype).real.dtype)
    return pairs[..., 0], pairs[..., 1]


def of_both(real: Tensor, imaginary: Tensor, dtype: np.dtype) -> Tensor:
    """Return complex numbers of these parts."""
    pairs = concatenate(*(reshape(part, (*real.shape, 1)) for part in (real, imaginary)), axis=-1)
    return reshape(reinterpret(pairs, dtype=dtype), real.shape)


def absolute(x: TensorLike) -> Tensor:
    """Return |x|; of complex numbers their distance from 0.

    Example:
        >>> absolute([-1, 2]).numpy()
        array([1, 2], dtype=int32)
    """
    x = operand(x)
    return library.hypot(*both(x)) if x.dtype.kind == "c" else elementwise.absolute(x)
