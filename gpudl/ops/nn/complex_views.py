"""Complex tensors from their parts, and the parts of complex tensors, with Keras's arguments and dtypes."""

from __future__ import annotations

import numpy as np

from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import stack
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.primitives.exponential import cos, sin
from gpudl.ops.primitives.shape import reinterpret, reshape

__all__ = [
    "polar",
    "view_as_complex",
    "view_as_real",
]


def polar(abs_: TensorLike, angle: TensorLike) -> Tensor:
    """Return the complex numbers of these sizes and angles, as complex64.

    Example:
        >>> polar([2.0], [0.0]).numpy()
        array([2.+0.j], dtype=complex64)
    """
    size, turn = cast(as_tensor(abs_), "float32"), cast(as_tensor(angle), "float32")
    return view_as_complex(stack([size * cos(turn), size * sin(turn)], axis=-1))


def view_as_complex(x: TensorLike) -> Tensor:
    """Return pairs of real and imaginary parts along the last axis as complex numbers, without that axis.

    Raises:
        ShapeError: the last axis does not have size 2.

    Example:
        >>> view_as_complex([[1.0, 2.0]]).numpy()
        array([1.+2.j], dtype=complex64)
    """
    x = as_tensor(x)
    if x.shape[-1:] != (2,):
        raise ShapeError(f"view_as_complex needs pairs along the last axis, got shape {x.shape}.")
    if x.dtype != np.float64:
        x = cast(x, "float32")
    dtype = np.dtype(np.complex128 if x.dtype == np.float64 else np.complex64)
    return reshape(reinterpret(x, dtype=dtype), x.shape[:-1])


def view_as_real(x: Tensor) -> Tensor:
    """Return the real and the imaginary parts of complex numbers, along a new last axis.

    Example:
        >>> view_as_real(view_as_complex([[1.0, 2.0]])).numpy()
        array([[1., 2.]], dtype=float32)
    """
    x = as_tensor(x)
    if x.dtype.kind != "c":
        raise ShapeError(f"view_as_real needs complex numbers, got {x.dtype}.")
    dtype = np.dtype(np.float64 if x.dtype == np.complex128 else np.float32)
    return reinterpret(reshape(x, (*x.shape, 1)), dtype=dtype)
