"""Reductions, softmax and the losses, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from benchmarks.suites.harness import Case, op, suite

SHAPES = ((128, 512), (64 * 26 * 26, 32), (16 * 56 * 56, 64))
CLASSES = ((64, 10), (128, 10), (1024, 1000))


def reductions() -> Iterator[Case]:
    """Yield sums, maxima and what they come from, an operation for each element of the input."""
    for shape in SHAPES:
        flops = prod(shape)
        yield op("sum", shape, flops=flops)
        yield op("max", shape, flops=flops, axis=-1)
        yield op("argmax", shape, flops=flops, axis=-1)
        yield op("sum_to", shape, flops=flops, shape=shape[-1:])
        yield op("broadcast_to", shape[-1:], shape=shape)


def losses() -> Iterator[Case]:
    """Yield softmaxes and cross-entropies."""
    for rows, classes in CLASSES:
        shape = (rows, classes)
        labels = np.random.default_rng(0).integers(0, classes, rows)
        yield op("softmax", shape)
        yield op("log_softmax", shape)
        yield op("softmax_cross_entropy", shape, shape, flops=prod(shape))
        yield op("softmax_cross_entropy_grad", shape[:1], shape, shape)
        yield op("sparse_softmax_cross_entropy", shape, labels, flops=prod(shape))
        yield op("sparse_softmax_cross_entropy_grad", shape[:1], shape, labels)
        yield op("sigmoid_cross_entropy", shape, shape)


test_reduce = suite(reductions())
test_loss = suite(losses())
