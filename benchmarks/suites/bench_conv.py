"""Convolutions: value and both gradients, and the general path by im2col."""

from __future__ import annotations

import gpudl
from benchmarks.suites.harness import Case, op, suite
from benchmarks.workloads.convolutions import CONVOLUTIONS, Convolution


def products(case: Convolution) -> list[Case]:
    """Return the three products of a convolution, and the value with bias and activation."""
    window = gpudl.layers.Conv2D(case.filters, case.kernel, padding=case.padding).window
    x, w, g = case.shapes
    layer = gpudl.layers.Conv2D(case.filters, case.kernel, padding=case.padding, activation="relu")
    return [
        op("conv2d", x, w, flops=case.flops, window=window),
        op("conv2d_input_grad", g, w, flops=case.flops, shape=x, window=window),
        op("conv2d_weight_grad", x, g, flops=case.flops, window=window),
        Case(f"Conv2D relu {case.name}", layer, [x], case.flops),
    ]


_window = gpudl.layers.MaxPooling2D(3, 1).window
test_conv = suite(case for convolution in CONVOLUTIONS for case in products(convolution))
test_im2col = suite(
    [
        op("im2col", (64, 13, 13, 32), window=_window),
        op("col2im", (64 * 121, 288), shape=(64, 13, 13, 32), window=_window),
    ]
)
