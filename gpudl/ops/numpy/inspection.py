"""What a tensor is: its shape, its dtype, whether it is one. On a symbol these functions say what is known of it."""

from __future__ import annotations

import numpy as np

from gpudl.engine.calls import takes_symbols
from gpudl.engine.convert import operand
from gpudl.engine.symbol import KerasTensor, OpenShape
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.variable import Variable

__all__ = [
    "convert_to_numpy",
    "dtype",
    "is_tensor",
    "ndim",
    "shape",
    "size",
]


@takes_symbols
def shape(x: TensorLike) -> OpenShape:
    """Return the size along each axis, None for an unknown size of a symbol.

    Example:
        >>> shape([[1.0, 2.0]]), shape(gpudl.Input((3, None)))
        ((1, 2), (None, 3, None))
    """
    return operand(x).shape


@takes_symbols
def ndim(x: TensorLike) -> int:
    """Return the number of axes.

    Example:
        >>> ndim([[1.0, 2.0]])
        2
    """
    return operand(x).ndim


@takes_symbols
def size(x: TensorLike) -> int:
    """Return the number of elements; raise ValueError for a symbol, whose sizes may be unknown.

    Example:
        >>> size([[1.0, 2.0]])
        2
    """
    return operand(x).size


@takes_symbols
def dtype(x: TensorLike) -> str:
    """Return the name of the dtype.

    Example:
        >>> dtype([1.0, 2.0])
        'float32'
    """
    return operand(x).dtype.name


@takes_symbols
def is_tensor(x: object) -> bool:
    """Return whether x is a tensor: arrays, lists, symbols and variables are none.

    Example:
        >>> is_tensor(gpudl.convert_to_tensor([1.0])), is_tensor(np.ones(1))
        (True, False)
    """
    return isinstance(x, Tensor) and not isinstance(x, KerasTensor | Variable)


@takes_symbols
def convert_to_numpy(x: TensorLike) -> np.ndarray:
    """Return a copy in host memory as an array of NumPy.

    Raises:
        TracingError: in a step that is being recorded.
        ValueError: a symbol, which has no values.

    Example:
        >>> convert_to_numpy([1.0, 2.0])
        array([1., 2.], dtype=float32)
    """
    return operand(x).numpy()
