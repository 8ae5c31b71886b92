"""Decoding of connectionist temporal classification: the label sequence that scores for each time step say."""

from __future__ import annotations

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import concatenate, expand_dims
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.reductions import argmax
from gpudl.ops.numpy.reductions import max as largest
from gpudl.ops.numpy.reductions import sum as total
from gpudl.ops.numpy.selection import where
from gpudl.ops.numpy.slices import take_along_axis
from gpudl.ops.numpy.sorting import argsort
from gpudl.ops.primitives.logic import equal, less, logical_and, not_equal

__all__ = [
    "ctc_decode",
]


def ctc_decode(
    inputs: TensorLike,
    sequence_lengths: TensorLike,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return the label sequences of scores: the likeliest class of each step, without repetitions and blanks.

    Args:
        inputs: scores (batch, steps, classes).
        sequence_lengths: how many of the steps of each row count, (batch,).
        strategy: ``"greedy"``.
        beam_width: for ``"beam_search"``, which is not there yet.
        top_paths: likewise.
        merge_repeated: whether a label that is said several times in a row counts once.
        mask_index: the class that stands for a blank.

    Returns:
        Labels (1, batch, steps), int32, with -1 behind them, and minus the sums of their scores (batch, 1).

    Raises:
        ShapeError: shapes that do not fit.
        ValueError: another strategy.

    Example:
        >>> scores = np.eye(3, dtype="float32")[[1, 1, 0, 2]][None]
        >>> ctc_decode(scores, [4])[0].numpy()
        array([[[ 1,  2, -1, -1]]], dtype=int32)
    """
    if strategy != "greedy":
        raise ValueError(f"ctc_decode: strategy must be 'greedy', got {strategy!r}: beams are not there yet.")
    scores, lengths = operand(inputs), cast(operand(sequence_lengths), "int32")
    if scores.ndim != 3 or lengths.shape != scores.shape[:1]:
        raise ShapeError(
            f"CTC takes scores (batch, steps, classes) and lengths (batch,), got {scores.shape} and {lengths.shape}."
        )
    counts = less(np.arange(scores.shape[1], dtype=np.int32), expand_dims(lengths, 1))
    best = where(counts, argmax(scores, axis=-1), mask_index)
    said = not_equal(best, mask_index)
    if merge_repeated:
        again = equal(best[:, 1:], best[:, :-1])
        said = logical_and(said, not_equal(concatenate([best[:, :1] != best[:, :1], again], axis=1), True))
    order = argsort(cast(equal(said, False), "int32"), axis=1)  # what is said comes first, in its order
    labels = take_along_axis(where(said, best, -1), order, 1)
    return expand_dims(labels, 0), expand_dims(-total(where(counts, largest(scores, axis=-1), 0.0), 1), 1)
