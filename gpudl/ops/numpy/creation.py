"""Arrays of given shapes and values, with Keras's arguments, defaults and dtypes."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from operator import index

import numpy as np
from numpy.typing import DTypeLike

from gpudl import backend
from gpudl.engine import convert
from gpudl.engine.convert import as_tensor, constant, operand
from gpudl.engine.default_float import float_dtype
from gpudl.engine.spec import Shape, Spec
from gpudl.engine.symbol import Unknown
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.tree import flatten
from gpudl.ops.numpy.arrangement import stack
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.primitives import elementwise, reduce
from gpudl.ops.primitives.shape import sizes

__all__ = [
    "array",
    "convert_to_tensor",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "identity",
    "ones",
    "ones_like",
    "tri",
    "zeros",
    "zeros_like",
]


def array(x: TensorLike | Sequence[object], dtype: DTypeLike | None = None) -> Tensor:
    """Return x as a tensor, like `convert_to_tensor`.

    Example:
        >>> array([1, 2], "float32").numpy()
        array([1., 2.], dtype=float32)
    """
    return convert_to_tensor(x, dtype)


def convert_to_tensor(
    x: TensorLike | Sequence[object],
    dtype: DTypeLike | None = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
) -> Tensor:
    """Return x as a tensor, in `dtype` if it is given; tensors in nested lists are stacked.

    Args:
        x: a tensor, an array, a number, or nested lists of them.
        dtype: by default that of x, float32 for Python floats, int32 for Python integers.
        sparse: accepted; gpudl's tensors are dense.
        ragged: accepted if false.

    Raises:
        TypeError: text, objects, or anything else that is not numbers; an unknown dtype.
        ValueError: `ragged` is true.

    Example:
        >>> row = gpudl.convert_to_tensor([1.0, 2.0])
        >>> convert_to_tensor([row, row * 2]).numpy()
        array([[1., 2.],
               [2., 4.]], dtype=float32)
    """
    if ragged:
        raise ValueError("ragged=True: gpudl's tensors are dense. Pad the rows to one length, with a mask.")
    if isinstance(x, list | tuple) and builtins.any(isinstance(leaf, Tensor) for leaf in flatten(x)[0]):
        x = stack([convert_to_tensor(part) for part in x])
    return convert.convert_to_tensor(x, dtype)


def fixed(make: Callable[[], np.ndarray], shape: Shape, dtype: np.dtype) -> Tensor:
    """Return a tensor of values that are known now, which a recorded step keeps; one without values for unknown sizes.

    Args:
        make: returns the values.
        shape: their shape, in which sizes may be unknown during shape inference.
        dtype: the dtype that they are cast to.
    """
    if Unknown in map(type, shape):
        return Tensor(None, Spec(shape, dtype))
    return as_tensor(np.asarray(make().astype(dtype)))


def positions(count: int) -> Tensor:
    """Return 0, 1, ... count - 1 as int32."""
    return fixed(lambda: np.arange(count), (count,), np.dtype(np.int32))


def nothing(x: Tensor) -> Tensor:
    """Return a 0 of the dtype of x."""
    return constant(0, x.dtype, x.on)


def _dtype(dtype: DTypeLike | None) -> np.dtype:
    return float_dtype() if dtype is None else np.dtype(dtype)


def full(shape: int | Sequence[int], fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return an array of `shape` with `fill_value`, broadcast, in each place, by default of floats.

    Example:
        >>> full((1, 2), 3).numpy()
        array([[3., 3.]], dtype=float32)
    """
    wanted, kind = sizes(shape), _dtype(dtype)
    if Unknown in map(type, wanted):
        return Tensor(None, Spec(wanted, kind))
    if isinstance(fill_value, bool | int | float):
        value = constant(fill_value, kind, backend.current())
    else:
        value = cast(fill_value, kind)
    return reduce.broadcast_to(value, shape=wanted)


def zeros(shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Return zeros of `shape`, by default of floats.

    Example:
        >>> zeros(2, "int32").numpy()
        array([0, 0], dtype=int32)
    """
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Return ones of `shape`, by default of floats.

    Example:
        >>> ones((1, 2)).numpy()
        array([[1., 1.]], dtype=float32)
    """
    return full(shape, 1, dtype)


def empty(shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Return an array of `shape` whose values are of no account: zeros, by default of floats.

    Example:
        >>> empty((2, 3)).shape
        (2, 3)
    """
    return full(shape, 0, dtype)


def full_like(x: TensorLike, fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return an array in the shape of x with `fill_value` in each place, by default in the dtype of x.

    Example:
        >>> full_like([3.0, 4.0], 7).numpy()
        array([7., 7.], dtype=float32)
    """
    x = operand(x)
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype)


def empty_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return an array in the shape of x whose values are of no account: zeros, by default in the dtype of x.

    Example:
        >>> empty_like([3.0, 4.0]).shape
        (2,)
    """
    return zeros_like(x, dtype)


def ones_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return ones in the shape of x, and in its dtype by default.

    Example:
        >>> ones_like([3.0, 4.0], dtype="int32").numpy()
        array([1, 1], dtype=int32)
    """
    ones = elementwise.ones_like(x)
    return ones if dtype is None or ones.dtype == np.dtype(dtype) else cast(ones, dtype)


def zeros_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Return zeros in the shape of x, and in its dtype by default.

    Example:
        >>> zeros_like([3.0, 4.0]).numpy()
        array([0., 0.], dtype=float32)
    """
    zeros = elementwise.zeros_like(x)
    return zeros if dtype is None or zeros.dtype == np.dtype(dtype) else cast(zeros, dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:  # noqa: N803 (Keras's)
    """Return zeros of shape (N, M), by default (N, N), with ones on the diagonal `k` above the main one.

    Example:
        >>> eye(2, 3, k=1).numpy()
        array([[0., 1., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    rows = index(N)
    columns = rows if M is None else index(M)
    return fixed(lambda: np.eye(rows, columns, index(k)), (rows, columns), _dtype(dtype))


def identity(n: int, dtype: DTypeLike | None = None) -> Tensor:
    """Return the identity matrix of shape (n, n).

    Example:
        >>> identity(2, "int32").numpy()
        array([[1, 0],
               [0, 1]], dtype=int32)
    """
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:  # noqa: N803 (Keras's)
    """Return zeros of shape (N, M), by default (N, N), with ones up to the diagonal `k` above the main one.

    Example:
        >>> tri(2, 3).numpy()
        array([[1., 0., 0.],
               [1., 1., 0.]], dtype=float32)
    """
    rows = index(N)
    columns = rows if M is None else index(M)
    return fixed(lambda: np.tri(rows, columns, index(k)), (rows, columns), _dtype(dtype))
