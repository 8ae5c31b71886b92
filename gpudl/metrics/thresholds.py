"""How many positives and negatives lie above each of several thresholds, counted without sorting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.losses.values import pair, single

NEVER = -1e10
"""The score of what is not among the top k, below every threshold but itself."""


def thresholds_of(who: str, given: float | Sequence[float] | None, default: float) -> list[float]:
    """Return thresholds as a list; raises ValueError for one that is no number from 0 to 1."""
    if given is None:
        return [default]
    listed = list(given) if isinstance(given, Sequence | np.ndarray) else [given]
    wrong = [t for t in listed if not isinstance(t, int | float | np.number) or not 0 <= t <= 1]
    if wrong or not listed:
        raise ValueError(f"{who}: thresholds must be numbers from 0 to 1, got {wrong or listed}.")
    return [float(t) for t in listed]


def evenly_spaced(thresholds: Sequence[float]) -> bool:
    """Return whether thresholds divide 0 to 1 into equal parts, within `config.epsilon`."""
    count = len(thresholds)
    return count > 2 and bool(np.allclose(thresholds, np.arange(count) / (count - 1), atol=config.epsilon()))


def weights_of(sample_weight: ArrayLike | None, values: Tensor) -> Tensor | None:
    """Return a weight for each of `values`, from one for each sample, row or value."""
    if sample_weight is None:
        return None
    given = weight = ops.cast_like(as_tensor(sample_weight), values)
    if weight.ndim < values.ndim:
        weight = ops.reshape(weight, (*weight.shape, 1))
    try:
        return ops.broadcast_to(weight, values.shape)
    except ShapeError:
        raise ShapeError(
            f"sample_weight of shape {given.shape} does not fit predictions of shape {values.shape}. "
            "Give one weight per sample, or one per value."
        ) from None


def compared(
    name: str,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None,
    top_k: int | None = None,
    class_id: int | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return which targets are not 0, as 0.0 or 1.0, the scores that count and their weights.

    Args:
        name: whose targets they are, for errors.
        y_true: targets.
        y_pred: scores, in the shape of the targets.
        sample_weight: one for each sample, row or score.
        top_k: how many of the scores along the last axis count; the others are `NEVER`.
        class_id: which place along the last axis counts alone.

    Raises:
        ShapeError: shapes that do not fit.
        ValueError: a class or a `top_k` that the last axis has no place for.
    """
    t, p = pair(y_true, single(y_pred), name)
    weight = weights_of(sample_weight, t)
    t = ops.cast_like(ops.not_equal(t, 0.0), p)
    if top_k is not None:
        p = ops.where(_among_top(p, top_k, name), p, NEVER)
    if class_id is not None:
        if p.ndim < 2 or not -p.shape[-1] <= class_id < p.shape[-1]:
            raise ValueError(f"{name}: there is no class {class_id} in predictions of shape {p.shape}.")
        t, p = t[..., class_id, None], p[..., class_id, None]
        weight = None if weight is None else weight[..., class_id, None]
    return t, p, weight


def _among_top(p: Tensor, k: int, name: str) -> Tensor:
    """Return, as bool, which are the k largest along the last axis; of equal ones the first."""
    if p.ndim < 1 or k > p.shape[-1]:
        raise ValueError(f"{name}: top_k={k} is more than predictions of shape {p.shape} have along the last axis.")
    chosen = ops.zeros_like(p, dtype="bool")
    for _ in range(k):
        best = ops.argmax(ops.where(chosen, -np.inf, p), axis=-1)
        chosen = ops.logical_or(chosen, ops.one_hot(best, p.shape[-1], dtype="bool"))
    return chosen


def above(
    thresholds: Sequence[float], even: bool, t: Tensor, p: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weights of true positives, false positives, true negatives and false negatives at each threshold.

    Args:
        thresholds: those above which a score is positive.
        even: whether they divide 0 to 1 into equal parts, but for ends that may lie outside: then each score is counted
            in one bucket, and the buckets are summed up.
        t: targets, 0.0 or 1.0: (N,), or (N, labels), which are counted apart.
        p: scores.
        weight: of the scores.

    Returns:
        Four tensors (thresholds,) or (thresholds, labels).
    """
    both = ops.stack([t, 1.0 - t], axis=-1)
    if weight is not None:
        both = both * ops.reshape(weight, (*weight.shape, 1))
    everything = ops.sum(both, axis=0)
    if even:
        positive = _bucketed(len(thresholds), thresholds[0] < 0, p, both)
    else:
        limits = as_tensor(np.array(thresholds, p.dtype).reshape(-1, *[1] * p.ndim), like=p)
        higher = ops.greater(p, limits)
        positive = ops.sum(ops.where(ops.reshape(higher, (*higher.shape, 1)), both, 0.0), axis=1)
    negative = everything - positive
    return positive[..., 0], positive[..., 1], negative[..., 1], negative[..., 0]


def _bucketed(count: int, open_ends: bool, p: Tensor, both: Tensor) -> Tensor:
    """Return what of `both`, (N, ..., 2), lies above each of `count` thresholds: (count, ..., 2)."""
    # How many of the thresholds lie below each score, from 0 to count; a first one below 0 always does.
    below = -(ops.clip(p, 0.0, 1.0) * -float(count - 1) // 1.0)
    if open_ends:
        below = ops.maximum(below, 1.0)
    number = ops.cast(below, "int32")
    labels = prod(number.shape[1:])
    if number.ndim > 1:
        number = number * labels + np.arange(labels, dtype=np.int32)
    rows = ops.segment_sum(ops.reshape(both, (-1, 2)), ops.reshape(number, -1), (count + 1) * labels)
    # Row k of the sum has the buckets of the scores above threshold k.
    higher = np.triu(np.ones((count, count + 1), p.dtype), 1)
    return ops.reshape(ops.matmul(higher, ops.reshape(rows, (count + 1, -1))), (count, *both.shape[1:]))
