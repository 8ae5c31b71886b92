"""Losses for label sequences of other lengths than the predictions, as in the recognition of speech and handwriting."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper
from gpudl.losses.labels import takes_labels
from gpudl.losses.options import LossOptions

__all__ = ["CTC", "ctc"]


@takes_labels
def ctc(y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
    """Return minus the logarithm of the probability of each label sequence; see `gpudl.ops.ctc_loss`.

    Args:
        y_true: labels (batch, labels) from 1 on; 0 is the blank, and fills up shorter sequences.
        y_pred: logits (batch, steps, classes).

    Raises:
        ShapeError: shapes that do not fit.

    Example:
        >>> ctc([[1, 0]], [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]).numpy().round(3)
        array([1.099], dtype=float32)
    """
    labels, scores = as_tensor(y_true), as_tensor(y_pred)
    if labels.ndim != 2 or scores.ndim != 3 or labels.shape[0] != scores.shape[0]:
        raise ShapeError(
            "ctc expected labels (batch, labels) and logits (batch, steps, classes), got "
            f"{labels.shape} and {scores.shape}."
        )
    length = ops.sum(ops.cast(ops.not_equal(labels, 0), "int32"), axis=-1)
    steps = ops.zeros_like(length) + scores.shape[1]
    return ops.ctc_loss(labels, scores, length, steps, mask_index=0)


class CTC(LossFunctionWrapper, options=LossOptions):
    """The loss of connectionist temporal classification; see `ctc` for targets and predictions.

    Example:
        >>> round(float(CTC()([[1, 0]], [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])), 4)
        1.0986
    """

    def __init__(self, **options: Unpack[LossOptions]) -> None:
        super().__init__(ctc, **options)
