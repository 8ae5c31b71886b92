"""Losses for embeddings: samples of one class shall lie close together, and far from the others."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from gpudl import ops
from gpudl.activations import softplus
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.losses.base import LossFunctionWrapper
from gpudl.losses.labels import takes_labels
from gpudl.losses.options import LossOptions
from gpudl.losses.values import single
from gpudl.utils.checks import require_number

__all__ = ["Circle", "circle"]

_NOTHING = -1e30  # the logarithm of the sum of nothing, finite so that its gradient is 0


@takes_labels
def circle(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    ref_labels: ArrayLike | None = None,
    ref_embeddings: ArrayLike | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """Return for each embedding how little closer those of its class lie than those of the others.

    Source: Sun et al., "Circle loss: a unified perspective of pair similarity optimization", CVPR 2020.

    Args:
        y_true: class labels (N,) or (N, 1).
        y_pred: embeddings (N, D) of length 1.
        ref_labels: class labels of `ref_embeddings`.
        ref_embeddings: what the embeddings are compared with, (M, D); they themselves by default.
        remove_diagonal: whether embedding i is not compared with number i of those, which is itself.
        gamma: the scale of the exponents.
        margin: how far apart the classes shall be, as 1 - cosine.

    Returns:
        (N,), whose mask leaves out samples with no other one of their class, or none of another.

    Raises:
        ShapeError: embeddings that are no rows, labels that are not one for each.

    Example:
        >>> circle([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], gamma=1).numpy().round(3)
        array([0.546, 0.546, 0.   ], dtype=float32)
    """
    p = single(y_pred)
    labels = _labels(y_true, p, "y_true", "y_pred")
    others = p if ref_embeddings is None else ops.cast_like(as_tensor(ref_embeddings), p)
    other_labels = labels if ref_labels is None else _labels(ref_labels, others, "ref_labels", "ref_embeddings")
    distance = ops.maximum(1.0 - ops.matmul(p, ops.transpose(others)), 0.0)
    same = ops.equal(ops.reshape(labels, (-1, 1)), ops.reshape(other_labels, (1, -1)))
    different = ops.logical_not(same)
    if remove_diagonal:
        same = ops.logical_and(same, np.eye(same.shape[0], same.shape[1]) == 0)
    pull = (margin + distance) * (margin - distance) * -gamma
    push = ops.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance) * gamma
    force = [ops.logsumexp(ops.where(*at, _NOTHING), axis=1) for at in ((same, pull), (different, push))]
    loss = softplus(force[0] + force[1])
    loss.mask = loss > 0.0
    return loss


def _labels(labels: ArrayLike, embeddings: Tensor, name: str, rows: str) -> Tensor:
    found = ops.cast(as_tensor(labels), dtype="int32")
    if embeddings.ndim != 2 or found.shape not in ((embeddings.shape[0],), (embeddings.shape[0], 1)):
        raise ShapeError(
            f"circle expected embeddings (samples, size) and one class label each, got {rows} of shape "
            f"{embeddings.shape} and {name} of shape {found.shape}."
        )
    return found


class Circle(LossFunctionWrapper, options=LossOptions):
    """How little closer embeddings lie to those of their class than to the others; see `circle` for the arguments.

    A mean counts only the samples that have another one of their class, and one of another class.

    Example:
        >>> embeddings = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
        >>> round(float(Circle(gamma=1.0)([0, 0, 1], embeddings)), 3)
        0.546
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        **options: Unpack[LossOptions],
    ) -> None:
        require_number("Circle", 0, gamma=gamma, margin=margin)
        pairs = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(circle, **options, **pairs)
