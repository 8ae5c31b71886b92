"""NumPy helpers for labels and features, as in ``keras.utils``."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpudl.engine.spec import is_floating


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[np.float64]:
    """Convert class labels to one-hot rows.

    Args:
        x: integers from 0 to ``num_classes - 1``, of any shape. A last axis of length 1 is dropped, so
            (N, 1) counts as (N,).
        num_classes: the length of a row; by default ``max(x) + 1``.

    Returns:
        An array of shape ``x.shape + (num_classes,)``, in float64 as Keras gives it.

    Raises:
        ValueError: when a label is not a whole number, is negative or is not below ``num_classes``, or when
            there are no labels to infer ``num_classes`` from. (Keras cuts fractions off and counts negative
            labels from the end, without a word.)

    Example:
        >>> to_categorical([0, 2, 1], num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.],
               [0., 1., 0.]])
    """
    labels = np.asarray(x)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.size == 0 and not num_classes:
        raise ValueError(
            "to_categorical got no labels, so it cannot tell how many classes there are. Pass num_classes."
        )
    if not _whole(labels):
        raise ValueError(
            f"to_categorical expected whole numbers as labels, got {_first(labels)} of dtype {labels.dtype}. "
            "Map the labels to 0, 1, 2, ... first."
        )
    classes = num_classes or int(labels.max()) + 1
    bad = labels[(labels < 0) | (labels >= classes)]
    if bad.size:
        raise ValueError(
            f"to_categorical expected labels from 0 to {classes - 1}, got {bad.flat[0]}. "
            "Shift the labels to start at 0, or pass a num_classes above the largest one."
        )
    one_hot = np.zeros((labels.size, classes))
    one_hot[np.arange(labels.size), labels.reshape(-1).astype(np.int64)] = 1
    return one_hot.reshape(*labels.shape, classes)


def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> np.ndarray:
    """Divide an array by its norm along an axis; vectors of norm 0 stay 0.

    Args:
        x: an array of any shape.
        axis: the axis to measure along.
        order: the order of the norm: 1 for the sum of magnitudes, 2 for the Euclidean norm, ``np.inf`` for
            the largest magnitude.

    Returns:
        A new array of the shape of ``x``: float32 stays float32, integers become float64. (Keras adds an axis
        to a 1-D NumPy array and measures along axis 0 but divides along the last; its tensors, and this
        function, do neither.)

    Example:
        >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    values = np.asarray(x)
    norm = np.linalg.norm(values, order, axis, keepdims=True)
    return np.asarray(values / np.where(norm == 0, norm.dtype.type(1), norm))


def _whole(labels: np.ndarray) -> bool:
    if labels.dtype.kind in "biu" or labels.size == 0:
        return True
    return is_floating(labels.dtype) and bool(np.all(np.isfinite(labels) & (labels == np.trunc(labels))))


def _first(labels: np.ndarray) -> object:
    """Return the first label that is not a whole number, for the error text."""
    if is_floating(labels.dtype):
        labels = labels[~(np.isfinite(labels) & (labels == np.trunc(labels)))]
    return labels.flat[0]
