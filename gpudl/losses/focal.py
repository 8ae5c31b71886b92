"""Cross-entropies that weigh samples otherwise: focal ones the hard samples more, the generalized one less."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper
from gpudl.losses.crossentropy import logits_of, one_hot_pair, smoothed
from gpudl.losses.labels import class_labels, takes_labels
from gpudl.losses.options import CrossentropyOptions, LossOptions
from gpudl.losses.values import pair
from gpudl.ops.nn.crossentropy import normalised
from gpudl.utils.checks import require_number

__all__ = [
    "BinaryFocalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "binary_focal_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
]


def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return the mean along `axis` of the binary cross-entropy times (1 - q)**gamma, q being what the target gets.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017.

    Args:
        y_true: targets from 0 to 1, in the shape of `y_pred`.
        y_pred: probabilities, or logits.
        apply_class_balancing: whether targets of 1 weigh `alpha` and those of 0 the rest.
        alpha: the weight of the class 1.
        gamma: how much less samples weigh that are nearly right; 0 is the cross-entropy itself.
        from_logits: whether `y_pred` are logits.
        label_smoothing: how far, from 0 to 1, targets are drawn to 0.5.
        axis: the axis of the mean.

    Raises:
        ShapeError: targets and predictions of different shapes.

    Example:
        >>> binary_focal_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).numpy().round(3)
        array([0.173], dtype=float32)
    """
    t, p = pair(y_true, y_pred, "binary_focal_crossentropy")
    t = smoothed(t, label_smoothing, 2)
    z = logits_of(p, from_logits, "binary_focal_crossentropy", "sigmoid")
    p = ops.sigmoid(p) if z is p else p
    loss = ops.binary_crossentropy(t, p if z is None else z, z is not None)
    loss = _focused(loss, t * p + (1.0 - t) * (1.0 - p), gamma)
    if apply_class_balancing:
        loss = loss * (t * alpha + (1.0 - t) * (1.0 - alpha))
    return ops.mean(loss, axis=axis)


def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return -alpha * sum(t * (1 - p)**gamma * log(p)) along `axis`, for targets that are one-hot or probabilities.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017.

    Args:
        y_true: targets t, in the shape of `y_pred`.
        y_pred: probabilities p, or logits.
        alpha: a factor.
        gamma: how much less samples weigh that are nearly right.
        from_logits: whether `y_pred` are logits.
        label_smoothing: how far, from 0 to 1, targets are drawn to 1 / classes.
        axis: the axis of the classes.

    Raises:
        ShapeError: different shapes; for class labels the text names the sparse loss.

    Example:
        >>> categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(3)
        array([0.043], dtype=float32)
    """
    t, p = one_hot_pair(y_true, y_pred, axis, "categorical_focal_crossentropy")
    t = smoothed(t, label_smoothing, p.shape[axis])
    p = normalised(ops.softmax(p, axis=axis) if from_logits else p, axis)
    return ops.sum(_focused(-t * ops.log(p), p, gamma) * alpha, axis=axis)


def _focused(loss: Tensor, right: Tensor, gamma: float) -> Tensor:
    return loss * (1.0 - right) ** gamma if gamma else loss


@takes_labels
def categorical_generalized_cross_entropy(y_true: ArrayLike, y_pred: ArrayLike, q: float) -> Tensor:
    """Return (1 - p[label]**q) / q along the last axis, which wrong labels spoil less than the cross-entropy.

    Source: Zhang and Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels",
    2018.

    Args:
        y_true: labels, in the shape of `y_pred` less the classes, or with size 1 there.
        y_pred: probabilities p.
        q: between 0, which is the cross-entropy, and 1, the mean absolute error.

    Raises:
        ShapeError: shapes that do not fit.

    Example:
        >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5).numpy()
        array([1.], dtype=float32)
    """
    p = as_tensor(y_pred)
    labels = class_labels(as_tensor(y_true), p, -1, "categorical_generalized_cross_entropy")
    chosen = ops.sum(p * ops.one_hot(labels, p.shape[-1], dtype=p.dtype), axis=-1)
    return (1.0 - chosen**q) / q


class BinaryFocalCrossentropy(LossFunctionWrapper, options=CrossentropyOptions):
    """The focal cross-entropy of yes-or-no targets; see `binary_focal_crossentropy` for the arguments.

    Example:
        >>> round(float(BinaryFocalCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])), 4)
        0.1733
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        **options: Unpack[CrossentropyOptions],
    ) -> None:
        require_number("BinaryFocalCrossentropy", 0, 1, alpha=alpha, label_smoothing=options["label_smoothing"])
        require_number("BinaryFocalCrossentropy", 0, gamma=gamma)
        focal = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        super().__init__(binary_focal_crossentropy, **options, **focal)


class CategoricalFocalCrossentropy(LossFunctionWrapper, options=CrossentropyOptions):
    """The focal cross-entropy of one-hot targets; see `categorical_focal_crossentropy` for the arguments.

    Example:
        >>> round(float(CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.0433
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, **options: Unpack[CrossentropyOptions]) -> None:
        require_number("CategoricalFocalCrossentropy", 0, 1, label_smoothing=options["label_smoothing"])
        require_number("CategoricalFocalCrossentropy", 0, gamma=gamma)
        super().__init__(categorical_focal_crossentropy, alpha=alpha, gamma=gamma, **options)


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper, options=LossOptions):
    """The generalized cross-entropy of class labels; see `categorical_generalized_cross_entropy`.

    Example:
        >>> float(CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]]))
        1.0
    """

    def __init__(self, q: float = 0.5, **options: Unpack[LossOptions]) -> None:
        require_number("CategoricalGeneralizedCrossEntropy", 0, 1, q=q)
        if q in (0, 1):
            raise ValueError(f"CategoricalGeneralizedCrossEntropy: q must lie between 0 and 1, got {q!r}.")
        super().__init__(categorical_generalized_cross_entropy, q=q, **options)
