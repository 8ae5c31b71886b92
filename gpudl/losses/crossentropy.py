"""Cross-entropies.

The predictions are probabilities, or logits where ``from_logits=True``. Probabilities that come straight
from `activations.softmax` or `activations.sigmoid` know their logits, and the loss is computed from these, which
loses no digits; other probabilities are kept `config.epsilon` away from 0 and 1.
"""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper
from gpudl.losses.labels import class_labels, label_shapes, takes_labels
from gpudl.losses.options import CrossentropyOptions, MetricOptions
from gpudl.losses.values import pair
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
    t = smoothed(t, label_smoothing, 2)
    z = logits_of(p, from_logits, "binary_crossentropy", "sigmoid")
    return ops.mean(ops.binary_crossentropy(t, p if z is None else z, z is not None), axis=axis)


def smoothed(t: Tensor, label_smoothing: float, classes: int) -> Tensor:
    """Return targets drawn to 1 / classes."""
    return t * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else t


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
    t, p = one_hot_pair(y_true, y_pred, axis, "categorical_crossentropy")
    t = smoothed(t, label_smoothing, p.shape[axis])
    z = logits_of(p, from_logits, "categorical_crossentropy", "softmax")
    return ops.categorical_crossentropy(t, p if z is None else z, z is not None, axis)


def one_hot_pair(y_true: ArrayLike, y_pred: ArrayLike, axis: int, name: str) -> tuple[Tensor, Tensor]:
    """Return one-hot targets and predictions of one shape; raises ShapeError, also for class labels."""
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    _check_axis(name, y_pred, axis)
    classes = y_pred.shape[axis]
    if classes == 1:
        warn_user(
            f"{name} of one class (predictions of shape {y_pred.shape}) does not depend on "
            "the model. Use binary_crossentropy for two classes and one output.",
            SyntaxWarning,
        )
    elif y_true.shape in label_shapes(y_pred, axis):
        raise ShapeError(
            f"{name} expected one-hot targets of shape {y_pred.shape}, got {y_true.shape}, "
            "which looks like class labels. Use sparse_categorical_crossentropy, or encode the labels: "
            f"utils.to_categorical(y_true, {classes})."
        )
    return pair(y_true, y_pred, name)


@takes_labels
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
        ignore_class: a label whose losses are 0 and which the mask of the result leaves out, such as a background.
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
    labels = class_labels(as_tensor(y_true), p, axis, "sparse_categorical_crossentropy")
    z = logits_of(p, from_logits, "sparse_categorical_crossentropy", "softmax")
    scores = p if z is None else z
    valid = None if ignore_class is None else ops.not_equal(labels, ignore_class)
    if valid is not None:
        # A row of ones has a finite loss and no gradient, so that ignored rows cannot affect the others.
        labels = ops.where(valid, labels, 0)
        scores = ops.where(ops.expand_dims(valid, axis % p.ndim), scores, 1.0)
    loss = ops.sparse_categorical_crossentropy(labels, scores, z is not None, axis)
    if valid is not None:
        loss = ops.where(valid, loss, 0.0)
        loss.mask = valid
    return loss


def _check_axis(loss: str, y_pred: Tensor, axis: int) -> None:
    if not -y_pred.ndim <= axis < y_pred.ndim:
        raise ShapeError(f"{loss}: axis {axis} is out of range for predictions of shape {y_pred.shape}.")


def logits_of(p: Tensor, from_logits: bool, loss: str, activation: str) -> Tensor | None:
    """Return the logits of predictions, or None if only probabilities are known."""
    if p.logits is None:
        return p if from_logits else None
    if from_logits:
        warn_user(
            f"{loss} has from_logits=True, but the predictions are probabilities: the loss uses the logits they "
            f"were computed from. Leave out from_logits, or the {activation} of the last layer.",
        )
    return p.logits


class BinaryCrossentropy(LossFunctionWrapper, options=CrossentropyOptions):
    """The cross-entropy of independent yes-or-no targets; see `binary_crossentropy` for the arguments.

    Example:
        >>> round(float(BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])), 4)
        0.6931
    """

    def __init__(self, **options: Unpack[CrossentropyOptions]) -> None:
        require_number("BinaryCrossentropy", 0, 1, label_smoothing=options["label_smoothing"])
        super().__init__(binary_crossentropy, **options)


class CategoricalCrossentropy(LossFunctionWrapper, options=CrossentropyOptions):
    """The cross-entropy of one-hot targets; see `categorical_crossentropy` for the arguments.

    Example:
        >>> loss = CategoricalCrossentropy(from_logits=True)
        >>> round(float(loss([[0.0, 1.0]], [[0.0, 0.0]])), 4)
        0.6931
    """

    def __init__(self, **options: Unpack[CrossentropyOptions]) -> None:
        require_number("CategoricalCrossentropy", 0, 1, label_smoothing=options["label_smoothing"])
        super().__init__(categorical_crossentropy, **options)


class SparseCategoricalCrossentropy(LossFunctionWrapper, options=MetricOptions):
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
        **options: Unpack[MetricOptions],
    ) -> None:
        if ignore_class is not None:
            require_whole("SparseCategoricalCrossentropy", ignore_class=ignore_class)
        labels = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, **options, **labels)
