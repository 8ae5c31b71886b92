"""Class labels as rows of zeros and ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gpudl import config
from gpudl.engine.convert import operand
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import transpose
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.reductions import max
from gpudl.ops.primitives import loss
from gpudl.ops.primitives.reduce import axes_of

__all__ = [
    "multi_hot",
    "one_hot",
]


def one_hot(
    x: TensorLike, num_classes: int, axis: int = -1, dtype: DTypeLike | None = None, sparse: bool = False
) -> Tensor:
    """Return zeros with a 1 at the label, along a new `axis`; a label out of range gives all zeros.

    Args:
        x: class labels; floats are cast to integers.
        num_classes: the size of the new axis.
        axis: position of the new axis in the result.
        dtype: dtype of the result; `config.floatx` by default.
        sparse: not supported.

    Raises:
        ValueError: `sparse` is true.

    Example:
        >>> one_hot([1, 0], 3).numpy()
        array([[0., 1., 0.],
               [1., 0., 0.]], dtype=float32)
    """
    if sparse:
        raise ValueError("sparse tensors are not supported: leave out sparse=True.")
    labels = operand(x)
    if labels.dtype.kind not in "iu":
        labels = cast(labels, np.int32)
    (at,) = axes_of(labels.ndim + 1, axis)
    kind = np.dtype(config.floatx() if dtype is None else dtype)
    rows = loss.one_hot(labels, classes=int(num_classes), dtype=kind)
    return rows if at == labels.ndim else transpose(rows, (*range(at), labels.ndim, *range(at, labels.ndim)))


def multi_hot(
    inputs: TensorLike,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: DTypeLike | None = None,
    sparse: bool = False,
    **kwargs: int,
) -> Tensor:
    """Return zeros with a 1 at each of the labels that a sample has; a label out of range is ignored.

    Args:
        inputs: class labels, of several samples (batch, labels), or of one.
        num_classes: how many classes there are; also called `num_tokens`.
        axis: position of the classes in the result.
        dtype: dtype of the result; `config.floatx` by default.
        sparse: not supported.

    Raises:
        TypeError: an unknown argument.
        ValueError: `num_classes` is missing, or `sparse` is true.

    Example:
        >>> multi_hot([[0, 2], [1, 1]], 3).numpy()
        array([[1., 0., 1.],
               [0., 1., 0.]], dtype=float32)
    """
    count = kwargs.pop("num_tokens", num_classes)
    if kwargs:
        raise TypeError(f"multi_hot has no argument {', '.join(kwargs)}.")
    if count is None:
        raise ValueError("multi_hot: num_classes, the number of classes, is required.")
    rows = one_hot(inputs, count, axis, dtype, sparse)
    return max(rows, axis=1 if rows.ndim > 2 else 0)
