"""Layers without large products, forward and backward in training: pooling, batch normalization, dropout."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads.base import Settings, Work, Workload

# The first feature maps of the tutorial's network, and larger ones.
SHAPES = {"26x26x32": (64, 26, 26, 32), "56x56x64": (16, 56, 56, 64)}
# By name: how often the layer makes images smaller, and the layer in gpudl and in PyTorch.
LAYERS: dict[str, tuple[int, Callable[[Any], Any], Callable[[Any, int], Any]]] = {
    "max-pool": (2, lambda layers: layers.MaxPooling2D(2), lambda nn, channels: nn.MaxPool2d(2)),
    "batch-norm": (
        1,
        lambda layers: layers.BatchNormalization(),
        lambda nn, channels: nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01),
    ),
    "dropout": (1, lambda layers: layers.Dropout(0.5, seed=1), lambda nn, channels: nn.Dropout(0.5)),
}


def images(shape: tuple[int, ...], smaller: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the input of a layer and a gradient of its output."""
    random = np.random.default_rng(0)
    n, h, w, c = shape
    return (
        random.standard_normal(shape, np.float32),
        random.standard_normal((n, h // smaller, w // smaller, c), np.float32),
    )


def gpudl_layer(name: str, shape: tuple[int, ...], settings: Settings) -> Work:
    """Return a replayed step of gpudl: the output, and the gradients of the input and the weights."""
    import gpudl

    smaller, ours, _ = LAYERS[name]
    layer = ours(gpudl.layers)
    x, g = map(gpudl.Variable, images(shape, smaller))
    layer(x)

    def step(x: Any, g: Any) -> Any:
        y = layer(x, training=True)
        return (y, *gpudl.grad(y, [x, *layer.trainable_variables], seed=g))

    run = gpudl.traced(step).run
    return Work(lambda: run(x, g), check=lambda results: float(np.abs(results[1].numpy()).mean()))


def torch_layer(channels_last: bool, name: str, shape: tuple[int, ...], settings: Settings) -> Work:
    """Return the same in PyTorch."""
    import torch
    from torch import nn

    smaller, _, theirs = LAYERS[name]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    layer = theirs(nn, shape[-1])
    x, g = (torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(memory_format=layout) for a in images(shape, smaller))
    x.requires_grad_(True)

    def step() -> Any:
        y = layer(x)
        return (y, *torch.autograd.grad(y, [x, *layer.parameters()], g))

    return Work(step, check=lambda results: float(results[1].abs().mean()))


WORKLOADS = [
    Workload(
        f"{name}-{label}",
        "us",
        {
            "gpudl": partial(gpudl_layer, name, shape),
            "torch": partial(torch_layer, False, name, shape),
            "torch-channels-last": partial(torch_layer, True, name, shape),
        },
    )
    for name in LAYERS
    for label, shape in SHAPES.items()
]
