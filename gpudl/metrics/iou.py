"""Intersection over union of predicted and true classes, as in the segmentation of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import warn_user
from gpudl.engine.tensor import Tensor
from gpudl.losses.values import as_dtype
from gpudl.metrics.base import COUNTER, Metric
from gpudl.utils.checks import positive, require_number, require_whole

__all__ = ["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"]


class IoU(Metric):
    """The mean over some classes of what is of a class and predicted so, over what is of it or predicted so.

    Classes that occur neither among targets nor among predictions are left out of the mean.

    Args:
        num_classes: how many classes there are.
        target_class_ids: the classes of the mean.
        name: for reports.
        dtype: of targets, predictions and weights, ``"int32"`` by default: weights are rounded towards 0 then.
        ignore_class: a label that does not count, such as 255 for borders.
        sparse_y_true: whether targets are class labels; otherwise they are one-hot along `axis`.
        sparse_y_pred: whether predictions are class labels; otherwise the class is the largest along `axis`.
        axis: the axis of the classes.

    Raises:
        ValueError: a class that there is not.

    Example:
        >>> round(float(IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])), 4)
        0.3333
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DtypeLike = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__("int32" if dtype is None else dtype, name)
        kind = type(self).__name__
        self.num_classes = positive(kind, num_classes=num_classes)
        if ignore_class is not None:
            require_whole(kind, ignore_class=ignore_class)
        wrong = [c for c in target_class_ids if not 0 <= c < num_classes]
        if wrong:
            raise ValueError(f"{kind}: target_class_ids must be classes from 0 to {num_classes - 1}, got {wrong[0]!r}.")
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        self.total_cm = self.add_counter("total_confusion_matrix", (num_classes, num_classes))

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch of targets and predictions of any shape, with weights for each of them.

        Raises:
            ShapeError: targets, predictions and weights of different numbers.
        """
        t, p = as_tensor(y_true), as_tensor(y_pred)
        t = t if self.sparse_y_true else ops.argmax(t, axis=self.axis)
        p = p if self.sparse_y_pred else ops.argmax(p, axis=self.axis)
        t, p = (ops.cast(as_dtype(ops.reshape(x, -1), self.dtype), "int32") for x in (t, p))
        if t.shape != p.shape:
            kind = type(self).__name__
            raise ShapeError(f"{kind} expected a prediction for each target, got {p.size} for {t.size} targets.")
        counted = ops.logical_and(self._known(t), self._known(p))
        if self.ignore_class is not None:
            counted = ops.logical_and(counted, ops.not_equal(t, self.ignore_class))
        place = ops.where(counted, t * self.num_classes + p, -1)
        cells = ops.segment_sum(self._weights(sample_weight, t), place, self.num_classes**2)
        self.total_cm.assign_add(ops.reshape(cells, self.total_cm.shape))

    def _known(self, labels: Tensor) -> Tensor:
        return ops.logical_and(labels >= 0, labels < self.num_classes)

    def _weights(self, sample_weight: ArrayLike | None, labels: Tensor) -> Tensor:
        if sample_weight is None:
            return ops.ones_like(labels, dtype=COUNTER)
        weight = as_tensor(sample_weight)
        if is_floating(weight.dtype) and self.dtype.startswith("int"):
            warn_user(
                f"{type(self).__name__} counts in {self.dtype}, so that weights of floats are rounded towards 0. Give "
                'it dtype="float32", or weights of integers.',
            )
        weight = as_dtype(as_dtype(weight, self.dtype), COUNTER)
        weight = ops.reshape(weight, -1) if weight.ndim > 1 else weight
        if weight.shape not in ((), (1,), labels.shape):
            raise ShapeError(f"sample_weight has {weight.size} weights, but there are {labels.size} targets.")
        return ops.broadcast_to(weight, labels.shape)

    def result(self) -> Tensor:
        """Return the mean over the target classes as a float; 0 where none of them occurs."""
        both = ops.sum(self.total_cm * np.eye(self.num_classes), axis=1)
        either = ops.sum(self.total_cm, axis=0) + ops.sum(self.total_cm, axis=1) - both
        both, either = (ops.take(x, self.target_class_ids) for x in (both, either))
        occurs = ops.greater(either, 1e-9)
        share = ops.where(occurs, both / (either + config.epsilon()), 0.0)
        return as_dtype(ops.sum(share) / (ops.sum(ops.cast(occurs, COUNTER)) + config.epsilon()), "float32")


class BinaryIoU(IoU):
    """The intersection over union of yes-or-no predictions, at a threshold; see `IoU`.

    Args:
        target_class_ids: the classes of the mean: 0, 1 or both.
        threshold: from which on a prediction is 1.
        name: for reports.
        dtype: as for `IoU`.

    Example:
        >>> round(float(BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 4)
        0.3333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: DtypeLike = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        require_number("BinaryIoU", threshold=threshold)
        self.threshold = threshold

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch of targets, 0 or 1, and predictions of any shape, with weights for each of them."""
        super().update_state(y_true, as_dtype(y_pred, "float32") >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """The mean over all classes of the intersection over union; see `IoU` for the arguments.

    Example:
        >>> round(float(MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1])), 4)
        0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DtypeLike = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        classes = range(positive(type(self).__name__, num_classes=num_classes))
        super().__init__(num_classes, classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """The intersection over union for one-hot targets; see `IoU` for the arguments.

    Example:
        >>> targets, scores = [[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
        >>> round(float(OneHotIoU(num_classes=2, target_class_ids=[1])(targets, scores)), 4)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DtypeLike = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """The mean over all classes of the intersection over union, for one-hot targets; see `IoU` for the arguments.

    Example:
        >>> targets, scores = [[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
        >>> round(float(OneHotMeanIoU(num_classes=2)(targets, scores)), 4)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DtypeLike = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
