"""Batch normalization: in training with its gradients, and with the moving averages."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import gpudl
from benchmarks.suites.harness import Case, suite

SHAPES = ((128, 512), (64, 26, 26, 32), (16, 56, 56, 64))


def normalizations() -> Iterator[Case]:
    """Yield the layer at each shape, an operation for each element of its input."""
    for shape in SHAPES:
        size = "x".join(map(str, shape))
        layer = gpudl.layers.BatchNormalization()
        layer.build(shape)

        def forward(x: Any, layer: Any = layer) -> Any:
            return layer(x, training=True)

        def both(x: Any, g: Any, layer: Any = layer) -> Any:
            y = layer(x, training=True)
            return (y, *gpudl.grad(y, [x, *layer.trainable_variables], seed=g))

        yield Case(f"BatchNormalization predicting {size}", layer, [shape])
        yield Case(f"BatchNormalization training {size}", forward, [shape])
        yield Case(f"BatchNormalization both ways {size}", both, [shape, shape], 2 * prod(shape))


test_norm = suite(normalizations())
