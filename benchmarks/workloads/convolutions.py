"""Convolutions one by one: value, gradient of the input and gradient of the weights, against oneDNN in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from benchmarks.workloads.base import Settings, Work, Workload

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Convolution:
    """Images (batch, size, size, channels) under filters (kernel, kernel, channels, filters), strides of 1."""

    name: str
    batch: int
    size: int
    channels: int
    filters: int
    kernel: int = 3
    padding: str = "valid"

    @property
    def padded(self) -> int:
        """Zeros on each side of an image."""
        return self.kernel // 2 if self.padding == "same" else 0

    @property
    def shapes(self) -> tuple[Shape, Shape, Shape]:
        """Shapes of images, filters and outputs, channels last."""
        out = self.size + 2 * self.padded - self.kernel + 1
        return (
            (self.batch, self.size, self.size, self.channels),
            (self.kernel, self.kernel, self.channels, self.filters),
            (self.batch, out, out, self.filters),
        )

    @property
    def flops(self) -> int:
        """Operations of each of the three products."""
        _, w, y = self.shapes
        return 2 * prod(w) * prod(y[:3])

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return images, filters and a gradient of the output."""
        random = np.random.default_rng(0)
        x, w, g = (random.standard_normal(shape, np.float32) for shape in self.shapes)
        return x, w, g


# Those of the tutorial's network, and larger ones as residual networks have them.
CONVOLUTIONS = (
    Convolution("conv1", 64, 28, 1, 32),
    Convolution("conv2", 64, 13, 32, 64),
    Convolution("conv3", 64, 5, 64, 64),
    Convolution("conv-56x56x64", 16, 56, 64, 64, padding="same"),
    Convolution("conv-28x28x128", 16, 28, 128, 128, padding="same"),
    Convolution("conv-14x14x256", 16, 14, 256, 256, padding="same"),
    Convolution("conv-1x1-28x28x128", 16, 28, 128, 512, kernel=1),
)
DIRECTIONS = ("forward", "input-grad", "weight-grad")


def gpudl_step(case: Convolution, direction: str) -> Callable[[], Any]:
    """Return a replayed step that computes one direction of a convolution; the others are dead code in it."""
    import gpudl

    images, filters, gradient = case.arrays()
    layer = gpudl.layers.Conv2D(case.filters, case.kernel, padding=case.padding, use_bias=False)
    x, g = gpudl.Variable(images), gpudl.Variable(gradient)
    layer(x)
    layer.set_weights([filters])

    def step(x: Any, g: Any) -> Any:
        y = layer(x)
        if direction == "forward":
            return y
        return gpudl.grad(y, [x if direction == "input-grad" else layer.kernel], seed=g)[0]

    return partial(gpudl.traced(step).run, x, g)


def gpudl_convolution(case: Convolution, direction: str, settings: Settings) -> Work:
    """Return one direction in gpudl."""
    return Work(gpudl_step(case, direction), check=lambda y: float(np.abs(y.numpy()).mean()))


def torch_convolution(case: Convolution, direction: str, settings: Settings) -> Work:
    """Return one direction in PyTorch, images and filters in channels_last memory."""
    import torch

    images, filters, gradient = (torch.from_numpy(a) for a in case.arrays())
    x, g = (a.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last) for a in (images, gradient))
    w = filters.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    form: Any = ([1, 1], [case.padded] * 2, [1, 1], False, [0, 0], 1)
    mask = [direction == "input-grad", direction == "weight-grad", False]

    def call() -> Any:
        with torch.no_grad():
            if direction == "forward":
                return torch.ops.aten.convolution(x, w, None, *form)
            both = torch.ops.aten.convolution_backward(g, x, w, None, *form, mask)
            return both[mask.index(True)]

    return Work(call, check=lambda y: float(y.abs().mean()))


WORKLOADS = [
    Workload(
        f"{case.name}-{direction}",
        "us",
        {
            "gpudl": partial(gpudl_convolution, case, direction),
            "torch-channels-last": partial(torch_convolution, case, direction),
        },
    )
    for case in CONVOLUTIONS
    for direction in DIRECTIONS
]
