"""Accuracies: how often predictions hit their targets.

The functions return 1.0 or 0.0 per prediction; the classes are the means of those over batches.
"""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import Shape, ShapeError, is_floating
from gpudl.engine.tensor import Tensor
from gpudl.losses.options import MetricOptions
from gpudl.losses.values import pair
from gpudl.metrics.reduction import MeanMetricWrapper
from gpudl.utils.checks import require_number, require_whole

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return 1.0 where `y_pred` equals `y_true`, element by element.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> accuracy([1, 2, 3], [1, 2, 4]).numpy()
        array([1., 1., 0.], dtype=float32)
    """
    return _float(ops.equal(*pair(y_true, y_pred, "accuracy")))


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Tensor:
    """Return 1.0 where `y_pred` is on the side of `threshold` that the target, 0 or 1, says.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> binary_accuracy([[1], [0]], [[0.9], [0.6]]).numpy()
        array([[1.],
               [0.]], dtype=float32)
    """
    y_true, y_pred = pair(y_true, y_pred, "binary_accuracy")
    return _float(ops.equal(y_true, ops.greater(y_pred, threshold)))


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return 1.0 where the largest of the scores is at the largest of the one-hot targets, along the last axis.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> categorical_accuracy([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]]).numpy()
        array([1., 0.], dtype=float32)
    """
    y_true, y_pred = _dense(y_true, y_pred, "categorical_accuracy")
    return _hits(ops.argmax(y_true, axis=-1), y_pred)


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return 1.0 where the largest of the scores along the last axis is at the class label.

    Raises:
        ShapeError: labels that are neither in the shape of the scores less the classes nor with size 1 there.

    Example:
        >>> sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]]).numpy()
        array([1., 0.], dtype=float32)
    """
    return _hits(*_sparse(y_true, y_pred, "sparse_categorical_accuracy"))


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Tensor:
    """Return 1.0 where the class of the one-hot target is among the `k` highest scores.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.2, 0.3]], k=2).numpy()
        array([1.], dtype=float32)
    """
    y_true, y_pred = _dense(y_true, y_pred, "top_k_categorical_accuracy")
    return _among(ops.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """Return 1.0 where the class label is among the `k` highest scores; equal scores share the better rank.

    Args:
        y_true: class labels.
        y_pred: scores (..., classes), or classes from the best on.
        k: how many count.
        from_sorted_ids: whether `y_pred` are classes, the numbers of those with the highest scores first.

    Raises:
        ShapeError: labels that are neither in the shape of the scores less the classes nor with size 1 there.

    Example:
        >>> sparse_top_k_categorical_accuracy([2], [[0.5, 0.2, 0.3]], k=2).numpy()
        array([1.], dtype=float32)
        >>> sparse_top_k_categorical_accuracy([2], [[0, 2, 1]], k=2, from_sorted_ids=True).numpy()
        array([1.], dtype=float32)
    """
    labels, scores = _sparse(y_true, y_pred, "sparse_top_k_categorical_accuracy")
    if from_sorted_ids:
        hits = ops.equal(ops.reshape(labels, (*labels.shape, 1)), scores[..., :k])
        return _float(ops.any(hits, axis=-1))
    return _among(labels, scores, k)


def _float(x: Tensor) -> Tensor:
    return ops.cast(x, dtype=config.floatx())


def _hits(labels: Tensor, scores: Tensor) -> Tensor:
    return _float(ops.equal(labels, ops.argmax(scores, axis=-1)))


def _among(labels: Tensor, scores: Tensor, k: int) -> Tensor:
    if is_floating(labels.dtype):
        labels = ops.cast(labels, dtype="int32")
    here = ops.one_hot(labels, scores.shape[-1], dtype="bool")
    own = ops.sum(ops.where(here, scores, 0.0), axis=-1, keepdims=True)
    better = ops.sum(ops.greater(scores, own), axis=-1)
    return _float(ops.less(better, k))


def _dense(y_true: ArrayLike, y_pred: ArrayLike, name: str) -> tuple[Tensor, Tensor]:
    """Return targets and predictions as tensors; raise ShapeError unless they have one shape."""
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.shape != y_pred.shape:
        labels = (y_pred.shape[:-1], (*y_pred.shape[:-1], 1))
        raise _misfit(name, y_pred.shape, y_true, y_pred, labels, f"class labels: use sparse_{name}")
    return y_true, y_pred


def _sparse(y_true: ArrayLike, y_pred: ArrayLike, name: str) -> tuple[Tensor, Tensor]:
    """Return class labels, in the shape of the predictions less the classes, and predictions."""
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    expected = y_pred.shape[:-1]
    if y_true.shape == (*expected, 1):
        return ops.reshape(y_true, expected), y_pred
    if y_true.shape != expected:
        dense = f"one-hot targets: use {name.removeprefix('sparse_')}"
        raise _misfit(name, expected, y_true, y_pred, (y_pred.shape,), dense)
    return y_true, y_pred


def _misfit(
    name: str, expected: Shape, y_true: Tensor, y_pred: Tensor, others: tuple[Shape, ...], advice: str
) -> ShapeError:
    """Return the error for targets that do not fit, with `advice` where they have one of the `others`' shapes."""
    return ShapeError(
        f"{name} expected targets of shape {expected} for predictions of shape {y_pred.shape}, got "
        f"{y_true.shape}. " + (f"They look like {advice}." if y_true.shape in others else "Reshape y_true.")
    )


class Accuracy(MeanMetricWrapper, options=MetricOptions):
    """How often predictions equal targets.

    Example:
        >>> float(Accuracy()([1, 2, 3, 4], [1, 2, 3, 5]))
        0.75
    """

    _direction = "up"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(accuracy, **options)


class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions are on the right side of `threshold`.

    Example:
        >>> float(BinaryAccuracy()([1, 0, 1, 0], [0.9, 0.2, 0.4, 0.1]))
        0.75
    """

    _direction = "up"

    def __init__(self, name: str | None = "binary_accuracy", dtype: DtypeLike = None, threshold: float = 0.5) -> None:
        require_number("BinaryAccuracy", threshold=threshold)
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper, options=MetricOptions):
    """How often the highest score is at the one-hot target.

    Example:
        >>> float(CategoricalAccuracy()([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]]))
        0.5
    """

    _direction = "up"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(categorical_accuracy, **options)


class SparseCategoricalAccuracy(MeanMetricWrapper, options=MetricOptions):
    """How often the highest score is at the class label.

    Example:
        >>> float(SparseCategoricalAccuracy()([1, 0], [[0.1, 0.9], [0.2, 0.8]]))
        0.5
    """

    _direction = "up"

    def __init__(self, **options: Unpack[MetricOptions]) -> None:
        super().__init__(sparse_categorical_accuracy, **options)


class TopKCategoricalAccuracy(MeanMetricWrapper, options=MetricOptions):
    """How often the class of the one-hot target is among the `k` highest scores.

    Example:
        >>> float(TopKCategoricalAccuracy(k=1)([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]]))
        0.5
    """

    _direction = "up"

    def __init__(self, k: int = 5, **options: Unpack[MetricOptions]) -> None:
        require_whole("TopKCategoricalAccuracy", 1, k=k)
        super().__init__(top_k_categorical_accuracy, k=k, **options)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the class label is among the `k` highest scores, or the first `k` of classes that are sorted already.

    Example:
        >>> float(SparseTopKCategoricalAccuracy(k=1)([1, 0], [[0.1, 0.9], [0.2, 0.8]]))
        0.5
    """

    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: DtypeLike = None,
        from_sorted_ids: bool = False,
    ) -> None:
        require_whole("SparseTopKCategoricalAccuracy", 1, k=k)
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
