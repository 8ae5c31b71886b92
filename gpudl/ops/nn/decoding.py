"""Decoding of connectionist temporal classification: the label sequence that scores for each time step say."""

from __future__ import annotations

from operator import index

import numpy as np

from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError, is_floating, is_half
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.nn.beams import decoded
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
    """Return label sequences of scores, without repetitions and blanks.

    Args:
        inputs: scores (batch, steps, classes).
        sequence_lengths: how many of the steps of each row count, (batch,).
        strategy: ``"greedy"`` takes the likeliest class of each step; ``"beam_search"`` the likeliest sequences, in all
            alignments together.
        beam_width: how many sequences ``"beam_search"`` keeps at each step.
        top_paths: how many sequences ``"beam_search"`` returns, the likeliest first.
        merge_repeated: whether a label that is said several times in a row counts once; with ``"beam_search"`` it
            always does.
        mask_index: the class that stands for a blank.

    Returns:
        Labels (sequences, batch, steps), int32, with -1 behind them, and (batch, sequences) minus the sums of their
        scores, or for ``"beam_search"`` the logarithms of their probabilities.

    Raises:
        ShapeError: shapes that do not fit.
        ValueError: another strategy, or more `top_paths` than `beam_width`.

    Example:
        >>> scores = np.eye(3, dtype="float32")[[1, 1, 0, 2]][None]
        >>> ctc_decode(scores, [4])[0].numpy()
        array([[[ 1,  2, -1, -1]]], dtype=int32)
    """
    if strategy not in ("greedy", "beam_search"):
        raise ValueError(f"ctc_decode: strategy must be 'greedy' or 'beam_search', got {strategy!r}.")
    if strategy == "beam_search" and not 1 <= top_paths <= beam_width:
        raise ValueError(f"ctc_decode: top_paths must be from 1 to beam_width, {beam_width}, got {top_paths}.")
    scores, lengths = operand(inputs), cast(operand(sequence_lengths), "int32")
    if scores.ndim != 3 or lengths.shape != scores.shape[:1]:
        raise ShapeError(
            f"CTC takes scores (batch, steps, classes) and lengths (batch,), got {scores.shape} and {lengths.shape}."
        )
    counts = less(np.arange(scores.shape[1], dtype=np.int32), expand_dims(lengths, 1))
    if strategy == "beam_search":
        exact = cast(scores, "float32") if is_half(scores.dtype) or not is_floating(scores.dtype) else scores
        return decoded(exact, counts, index(beam_width), index(top_paths), index(mask_index) % scores.shape[2])
    best = where(counts, argmax(scores, axis=-1), mask_index)
    said = not_equal(best, mask_index)
    if merge_repeated:
        again = equal(best[:, 1:], best[:, :-1])
        said = logical_and(said, not_equal(concatenate([best[:, :1] != best[:, :1], again], axis=1), True))
    order = argsort(cast(equal(said, False), "int32"), axis=1)  # what is said comes first, in its order
    labels = take_along_axis(where(said, best, -1), order, 1)
    return expand_dims(labels, 0), expand_dims(-total(where(counts, largest(scores, axis=-1), 0.0), 1), 1)
