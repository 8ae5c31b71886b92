"""Decoding of connectionist temporal classification by beam search: the label sequences that all alignments favor."""

from __future__ import annotations

import numpy as np

from gpudl.engine.tensor import Tensor
from gpudl.ops.loops import scan
from gpudl.ops.nn.labels import one_hot
from gpudl.ops.nn.probabilities import log_softmax
from gpudl.ops.numpy.arrangement import concatenate, expand_dims, transpose
from gpudl.ops.numpy.creation import full
from gpudl.ops.numpy.elementwise import cast
from gpudl.ops.numpy.products import matmul
from gpudl.ops.numpy.reductions import all as every
from gpudl.ops.numpy.reductions import max as largest
from gpudl.ops.numpy.selection import where
from gpudl.ops.numpy.slices import take_along_axis
from gpudl.ops.numpy.sorting import top_k
from gpudl.ops.primitives.elementwise import floor_divide, maximum
from gpudl.ops.primitives.exponential import logaddexp
from gpudl.ops.primitives.logic import equal, greater, greater_equal, logical_and
from gpudl.ops.primitives.shape import reshape

_NEVER = -1e30
"""The logarithm of the probability of what cannot be, finite so that sums with it are numbers."""
_LEAST = -1e29
Beams = tuple[Tensor, Tensor, Tensor, Tensor]
"""Paths (batch, width, steps), their lengths, and log probabilities of ending with a blank, and with a label."""


def decoded(scores: Tensor, counts: Tensor, width: int, paths: int, mask: int) -> tuple[Tensor, Tensor]:
    """Return the likeliest label sequences (paths, batch, steps), -1 behind them, and their log probabilities.

    Source: Graves and Jaitly, "Towards end-to-end speech recognition with recurrent neural networks", ICML 2014,
    algorithm 1.

    Args:
        scores: logits (batch, steps, classes).
        counts: whether a step counts, (batch, steps).
        width: how many sequences are kept at each step.
        paths: how many are returned, at most `width`.
        mask: the class of the blank.
    """
    batch, steps, _ = scores.shape
    logs = log_softmax(scores)
    empty = np.where(np.arange(width) == 0, 0.0, _NEVER)
    start: Beams = (
        full((batch, width, steps), -1, "int32"),
        full((batch, width), 0, "int32"),
        full((batch, width), empty, logs.dtype),
        full((batch, width), _NEVER, logs.dtype),
    )

    def step(beams: Beams, row: tuple[Tensor, Tensor]) -> tuple[Beams, None]:
        y, goes_on = row
        labels, *others = (
            where(reshape(goes_on, (-1,) + (1,) * (old.ndim - 1)), new, old)
            for old, new in zip(beams, _step(beams, y, mask), strict=True)
        )
        length, blank, label = others
        return (labels, length, blank, label), None

    (labels, _, blank, label), _ = scan(step, start, (transpose(logs, (1, 0, 2)), transpose(counts)))
    best, at = top_k(logaddexp(blank, label), paths)
    found = take_along_axis(labels, expand_dims(at, -1), 1)
    return transpose(found, (1, 0, 2)), where(greater(best, _LEAST), best, -np.inf)


def _step(beams: Beams, y: Tensor, mask: int) -> Beams:
    """Return the likeliest paths after one more step with log probabilities y (batch, classes)."""
    paths, length, blank, label = beams
    (_, width, steps), classes = paths.shape, y.shape[1]
    place, total = np.arange(steps, dtype=np.int32), logaddexp(blank, label)
    ends = equal(expand_dims(length, -1) - 1, place)
    last = largest(where(ends, paths, -1), axis=-1)
    last_one = one_hot(last, classes, dtype="bool")
    # The same label again is a new one only behind a blank.
    further = where(last_one, expand_dims(blank, -1), expand_dims(total, -1)) + expand_dims(y, 1)
    further = where(np.arange(classes) == mask, _NEVER, further)
    # A path that another one becomes by its last label is found twice: the other way to it is added to it.
    alive, parents = greater(total, _LEAST), where(ends, -1, paths)
    becomes = every(equal(expand_dims(paths, 2), expand_dims(parents, 1)), axis=-1)
    becomes = logical_and(becomes, expand_dims(alive, 2) & expand_dims(logical_and(alive, greater(length, 0)), 1))
    other_way = matmul(further, transpose(cast(last_one, y.dtype), (0, 2, 1)))
    other_way = largest(where(becomes, other_way, _NEVER), axis=1)
    twice = matmul(cast(becomes, y.dtype), cast(last_one, y.dtype))
    further = where(greater(twice, 0.5), _NEVER, further)
    again = largest(where(last_one, expand_dims(y, 1), _NEVER), axis=-1)
    stays = total + y[:, mask : mask + 1], logaddexp(label + again, other_way)
    best, at = top_k(concatenate([logaddexp(*stays), reshape(further, (-1, width * classes))], axis=1), width)
    longer, number = greater_equal(at, width), maximum(at - width, 0)
    origin = where(longer, floor_divide(number, classes), at)
    blank, label = (take_along_axis(part, origin, 1) for part in stays)
    paths, length = take_along_axis(paths, expand_dims(origin, -1), 1), take_along_axis(length, origin, 1)
    new = logical_and(expand_dims(longer, -1), equal(expand_dims(length, -1), place))
    paths = where(new, expand_dims(cast(number % classes, "int32"), -1), paths)
    return paths, length + cast(longer, "int32"), where(longer, _NEVER, blank), where(longer, best, label)
