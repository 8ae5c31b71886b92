"""Connectionist temporal classification: the probability of a label sequence under scores for each time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, is_half
from gpudl.engine.tensor import Tensor
from gpudl.ops.loops import scan
from gpudl.ops.math import logsumexp
from gpudl.ops.nn.labels import one_hot
from gpudl.ops.nn.probabilities import log_softmax
from gpudl.ops.numpy.arrangement import broadcast_to, concatenate, expand_dims, stack, transpose
from gpudl.ops.numpy.creation import zeros_like
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.products import matmul
from gpudl.ops.numpy.selection import where
from gpudl.ops.primitives.exponential import logaddexp
from gpudl.ops.primitives.logic import less, logical_or, not_equal
from gpudl.ops.primitives.shape import reshape

__all__ = ["ctc_loss"]

_NEVER = -1e5
"""The logarithm of the probability of what cannot be, finite so that its gradient is 0."""


def ctc_loss(
    target: ArrayLike,
    output: ArrayLike,
    target_length: ArrayLike,
    output_length: ArrayLike,
    mask_index: int = 0,
) -> Tensor:
    """Return minus the logarithm of the probability of each label sequence, summed over all its alignments.

    An alignment says a label or a blank at each step; a label that is said several times in a row without a blank
    between counts once.

    Source: Graves et al., "Connectionist temporal classification", ICML 2006, section 4.1.

    Args:
        target: labels (batch, labels), the first `target_length` of each row.
        output: logits (batch, steps, classes).
        target_length: (batch,).
        output_length: how many of the steps of each row count, (batch,).
        mask_index: the class that stands for a blank.

    Returns:
        (batch,) in float32, or float64 for logits in float64.

    Raises:
        ShapeError: shapes that do not fit.

    Example:
        >>> uniform = np.zeros((1, 2, 3), "float32")
        >>> ctc_loss([[1]], uniform, [1], [2]).numpy().round(3)  # three of nine alignments: 1 blank, blank 1, 1 1
        array([1.099], dtype=float32)
    """
    labels, scores = cast(operand(target), "int32"), operand(output)
    lengths, steps = cast(operand(target_length), "int32"), cast(operand(output_length), "int32")
    batch = scores.shape[:1]
    if scores.ndim != 3 or labels.ndim != 2 or {labels.shape[:1], lengths.shape, steps.shape} != {batch}:
        raise ShapeError(
            "CTC takes labels (batch, labels), logits (batch, steps, classes) and lengths (batch,), got "
            f"{labels.shape}, {scores.shape}, {lengths.shape} and {steps.shape}."
        )
    logs = log_softmax(cast(scores, "float32") if is_half(scores.dtype) else scores)
    # A state is a place in the labels with blanks between and around them, or still before the first of them.
    blank = zeros_like(labels) + mask_index
    places = concatenate([blank[:, :1], reshape(stack([labels, blank], axis=-1), (*batch, -1))], axis=1)
    count = places.shape[1]
    emitted = matmul(logs, transpose(one_hot(places, scores.shape[2], dtype=logs.dtype), (0, 2, 1)))
    # A label may follow the one before without a blank where the two differ.
    follows = not_equal(places[:, 2:], places[:, :-2])
    never = np.full((*batch, 2), _NEVER, logs.dtype)

    def step(state: Tensor, row: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        emission, counts = row
        one_on = concatenate([never[:, :1], state[:, :-1]], axis=1)
        two_on = concatenate([never, where(follows, state[:, :-2], _NEVER)], axis=1)
        reached = logaddexp(logaddexp(state, one_on), two_on) + emission
        return where(counts, reached, state), None

    begin = np.where(np.arange(count) == 0, 0.0, _NEVER).astype(logs.dtype)
    counted = less(np.arange(scores.shape[1], dtype=np.int32), expand_dims(steps, 1))
    rows = transpose(emitted, (1, 0, 2)), expand_dims(transpose(counted), 2)
    last, _ = scan(step, broadcast_to(begin, (*batch, count)), rows)
    ends = one_hot(lengths * 2, count, dtype="bool"), one_hot(lengths * 2 - 1, count, dtype="bool")
    return -logsumexp(where(logical_or(*ends), last, _NEVER), axis=1)
