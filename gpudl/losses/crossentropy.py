"""Cross-entropies.

The predictions are probabilities, or logits where ``from_logits=True``. Probabilities that come straight
from `activations.softmax` or `activations.sigmoid` know their logits, and the loss is computed from these, which
loses no digits; other probabilities are kept `config.epsilon` away from 0 and 1.
"""

from __future__ import annotations

import warnings

from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper, pair
from gpudl.losses.labels import class_labels, differs, ignored, label_shapes
from gpudl.utils.checks import require_number, require_whole

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
]


def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Return the mean along `axis` of -t log(p) - (1 - t) log(1 - p).

    Args:
        y_true: targets t from 0 to 1, in the shape of `y_pred`.
        y_pred: probabilities p, or logits.
        from_logits: whether `y_pred` are logits.
        label_smoothing: how far, from 0 to 1, targets are drawn to 0.5.
        axis: the axis of the mean.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> binary_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).numpy().round(3)
        array([0.693], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "binary_crossentropy")
    if label_smoothing:
        t = t * (1.0 - label_smoothing) + 0.5 * label_smoothing
    z = _logits(p, from_logits, "binary_crossentropy", "sigmoid")
    if z is None:
        p = _clipped(p)
        return ops.mean(-(t * ops.log(p) + (1.0 - t) * ops.log(1.0 - p)), axis=axis)
    return ops.mean(ops.sigmoid_cross_entropy(z, t), axis=axis)


def categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Return -sum(t * log(p)) along `axis`, for targets that are one-hot or probabilities.

    Args:
        y_true: targets t, in the shape of `y_pred`.
        y_pred: probabilities p, or logits.
        from_logits: whether `y_pred` are logits.
        label_smoothing: how far, from 0 to 1, targets are drawn to 1 / classes.
        axis: the axis of the classes.

    Raises:
        ShapeError: different shapes; for class labels the text names the sparse loss.

    Example:
        >>> categorical_crossentropy([[0.0, 1.0, 0.0]], [[0.25, 0.5, 0.25]]).numpy().round(3)
        array([0.693], dtype=float32)
    """
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    _check_axis("categorical_crossentropy", y_pred, axis)
    classes = y_pred.shape[axis]
    if classes == 1:
        warnings.warn(
            f"categorical_crossentropy of one class (predictions of shape {y_pred.shape}) does not depend on "
            "the model. Use binary_crossentropy for two classes and one output.",
            SyntaxWarning,
            stacklevel=2,
        )
    elif y_true.shape in label_shapes(y_pred, axis):
        raise ShapeError(
            f"categorical_crossentropy expected one-hot targets of shape {y_pred.shape}, got {y_true.shape}, "
            "which looks like class labels. Use sparse_categorical_crossentropy, or encode the labels: "
            f"utils.to_categorical(y_true, {classes})."
        )
    t, p = pair(y_true, y_pred, "categorical_crossentropy")
    if label_smoothing:
        t = t * (1.0 - label_smoothing) + label_smoothing / classes
    z = _logits(p, from_logits, "categorical_crossentropy", "softmax")
    loss: Tensor
    if z is None:
        loss = -ops.sum(t * ops.log(_normalised(p, axis)), axis=axis)
    else:
        loss = ops.softmax_cross_entropy(_classes_last(z, axis), _classes_last(t, axis))[0]
    return loss


def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Return -log(p[label]) along `axis`, for targets that are class numbers.

    Args:
        y_true: labels, in the shape of `y_pred` less the axis of the classes, or with size 1 there.
        y_pred: probabilities p, or logits.
        from_logits: whether `y_pred` are logits.
        ignore_class: a label whose losses are 0, such as a background class.
        axis: the axis of the classes.

    Returns:
        One loss per label; NaN for a label out of range.

    Raises:
        ShapeError: shapes that do not fit; for one-hot targets the text names the dense loss.

    Example:
        >>> sparse_categorical_crossentropy([1], [[0.25, 0.5, 0.25]]).numpy().round(3)
        array([0.693], dtype=float32)
    """
    p = as_tensor(y_pred)
    _check_axis("sparse_categorical_crossentropy", p, axis)
    labels = class_labels(as_tensor(y_true), p, axis)
    z = _logits(p, from_logits, "sparse_categorical_crossentropy", "softmax")
    scores = _classes_last(p if z is None else z, axis)
    valid = None if ignore_class is None else differs(labels, ignore_class)
    if valid is not None:
        # A row of ones has a finite loss and no gradient, so that ignored rows cannot affect the others.
        labels = ops.where(valid, labels, 0)
        scores = ops.where(ops.reshape(valid, (*valid.shape, 1)), scores, 1.0)
    loss: Tensor
    if z is None:
        loss = _picked(labels, ops.log(_normalised(scores, -1)))
    else:
        loss = ops.sparse_softmax_cross_entropy(scores, labels)[0]
    return loss if valid is None else ops.where(valid, loss, 0.0)


sparse_categorical_crossentropy.keeps_labels = True  # type: ignore[attr-defined]


def _check_axis(loss: str, y_pred: Tensor, axis: int) -> None:
    if not -y_pred.ndim <= axis < y_pred.ndim:
        raise ShapeError(f"{loss}: axis {axis} is out of range for predictions of shape {y_pred.shape}.")


def _logits(p: Tensor, from_logits: bool, loss: str, activation: str) -> Tensor | None:
    """Return the logits of predictions, or None if only probabilities are known."""
    if p.logits is None:
        return p if from_logits else None
    if from_logits:
        warnings.warn(
            f"{loss} has from_logits=True, but the predictions are probabilities: the loss uses the logits they "
            f"were computed from. Leave out from_logits, or the {activation} of the last layer.",
            stacklevel=4,
        )
    return p.logits


def _clipped(p: Tensor) -> Tensor:
    return ops.clip(p, config.epsilon(), 1.0 - config.epsilon())


def _normalised(p: Tensor, axis: int) -> Tensor:
    return _clipped(p / ops.sum(p, axis=axis, keepdims=True))


def _classes_last(x: Tensor, axis: int) -> Tensor:
    at = axis % x.ndim
    if at == x.ndim - 1:
        return x
    others = tuple(i for i in range(x.ndim) if i != at)
    result: Tensor = ops.transpose(x, axes=(*others, at))
    return result


def _picked(labels: Tensor, logs: Tensor) -> Tensor:
    """Return -logs[label] along the last axis, NaN for a label out of range."""
    here = ops.one_hot(labels, logs.shape[-1], dtype="bool")
    known = ops.sum(here, axis=-1) > 0
    result: Tensor = ops.where(known, -ops.sum(ops.where(here, logs, 0.0), axis=-1), float("nan"))
    return result


class BinaryCrossentropy(LossFunctionWrapper):
    """The cross-entropy of independent yes-or-no targets; see `binary_crossentropy` for the arguments.

    Example:
        >>> round(float(BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: DtypeLike = None,
    ) -> None:
        require_number("BinaryCrossentropy", 0, 1, label_smoothing=label_smoothing)
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, dtype, **options)


class CategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of one-hot targets; see `categorical_crossentropy` for the arguments.

    Example:
        >>> loss = CategoricalCrossentropy(from_logits=True)
        >>> round(float(loss([[0.0, 1.0]], [[0.0, 0.0]])), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: DtypeLike = None,
    ) -> None:
        require_number("CategoricalCrossentropy", 0, 1, label_smoothing=label_smoothing)
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, dtype, **options)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of class labels; see `sparse_categorical_crossentropy` for the arguments.

    A mean counts only the labels that are not `ignore_class`.

    Example:
        >>> loss = SparseCategoricalCrossentropy(from_logits=True)
        >>> round(float(loss([1], [[0.0, 0.0]])), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: DtypeLike = None,
    ) -> None:
        if ignore_class is not None:
            require_whole("SparseCategoricalCrossentropy", ignore_class=ignore_class)
        self.ignore_class, self.axis = ignore_class, axis
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **options)

    def valid(self, y_true: Tensor, y_pred: Tensor) -> Tensor | None:
        """Return, as bool, which labels count."""
        return ignored(y_true, y_pred, self.ignore_class, self.axis)
