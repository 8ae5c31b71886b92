"""Networks on images beyond the tutorial's: depthwise and transposed convolutions, a residual network of 20 layers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads.base import Settings, Work, Workload

CLASSES, STEPS = 10, 4
# By name: batch size, and shape of an image.
CASES: dict[str, tuple[int, tuple[int, int, int]]] = {
    "depthwise-56x56x64": (32, (56, 56, 64)),
    "transposed-14x14x128": (32, (14, 14, 128)),
    "resnet-20": (64, (32, 32, 3)),
}
ENLARGED = (56, 56, 32)
STAGES, BLOCKS = (16, 32, 64), 3


def data(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Return random images, and their classes or the images that are wanted, of as many batches as a call trains on."""
    random = np.random.default_rng(0)
    batch, shape = CASES[case]
    x = random.standard_normal((STEPS * batch, *shape), np.float32)
    if case.startswith("transposed"):
        return x, random.standard_normal((len(x), *ENLARGED), np.float32)
    return x, random.integers(0, CLASSES, len(x))


def keras_model(framework: Any, case: str) -> Any:
    """Return the compiled network of gpudl or Keras, whose programs are the same."""
    layers, x = framework.layers, framework.layers.Input(CASES[case][1])
    loss: Any = framework.losses.SparseCategoricalCrossentropy(from_logits=True)

    def normalized(y: Any, filters: int, kernel: int = 3, strides: int = 1) -> Any:
        y = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False)(y)
        return layers.BatchNormalization()(y)

    if case.startswith("transposed"):
        y = layers.Conv2DTranspose(64, 3, 2, padding="same", activation="relu")(x)
        y, loss = layers.Conv2DTranspose(ENLARGED[-1], 3, 2, padding="same")(y), "mse"
    elif case.startswith("depthwise"):
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(normalized(layers.ReLU()(layers.BatchNormalization()(y)), 128, 1))
    else:
        y = layers.ReLU()(normalized(x, STAGES[0]))
        for stage, filters in enumerate(STAGES):
            for block in range(BLOCKS):
                strides = 2 if stage and not block else 1
                inner = normalized(layers.ReLU()(normalized(y, filters, strides=strides)), filters)
                shortcut = normalized(y, filters, 1, strides) if strides > 1 else y
                y = layers.ReLU()(layers.Add()([inner, shortcut]))
    if loss != "mse":
        y = layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(y))
    model = framework.Model(x, y)
    model.compile(optimizer="adam", loss=loss)
    return model


def torch_model(case: str) -> Any:
    """Return the same network in PyTorch."""
    from torch import nn

    def normalized(channels: int, filters: int, kernel: int = 3, strides: int = 1) -> Any:
        conv = nn.Conv2d(channels, filters, kernel, strides, padding=kernel // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01))

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, channels: int, filters: int, strides: int) -> None:
            super().__init__()
            first, second = normalized(channels, filters, strides=strides), normalized(filters, filters)
            self.inner = nn.Sequential(first, nn.ReLU(), second)
            self.shortcut = normalized(channels, filters, 1, strides) if strides > 1 else nn.Identity()
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.inner(x) + self.shortcut(x))

    if case.startswith("transposed"):
        enlarge = partial(nn.ConvTranspose2d, kernel_size=3, stride=2, padding=1, output_padding=1)
        return nn.Sequential(enlarge(128, 64), nn.ReLU(), enlarge(64, ENLARGED[-1]))
    if case.startswith("depthwise"):
        each = nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False)
        norm = nn.BatchNorm2d(64, eps=1e-3, momentum=0.01)
        body, filters = [each, norm, nn.ReLU(), normalized(64, 128, 1), nn.ReLU()], 128
    else:
        body, channels = [normalized(3, STAGES[0]), nn.ReLU()], STAGES[0]
        for stage, filters in enumerate(STAGES):
            for block in range(BLOCKS):
                body.append(Block(channels, filters, 2 if stage and not block else 1))
                channels = filters
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters, CLASSES))


def keras_steps(name: str, case: str, settings: Settings) -> Work:
    """Return a pass of `fit` for gpudl or Keras."""
    model, (x, y) = keras_model(importlib.import_module(name), case), data(case)

    def epoch() -> float:
        return float(model.fit(x, y, batch_size=CASES[case][0], verbose=0).history["loss"][0])

    return Work(epoch, STEPS)


def torch_steps(channels_last: bool, compiles: bool, case: str, settings: Settings) -> Work:
    """Return the same as a plain loop in PyTorch, which shuffles and sums the loss as `fit` does."""
    import torch
    from torch import nn

    model, batch = torch_model(case), CASES[case][0]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters())
    predict = torch.compile(model) if compiles else model
    x, y = map(torch.from_numpy, data(case))

    def in_layout(images: Any) -> Any:
        return images.permute(0, 3, 1, 2).contiguous(memory_format=layout) if images.ndim == 4 else images

    x, y = in_layout(x), in_layout(y)
    measure: Callable[..., Any] = nn.MSELoss() if case.startswith("transposed") else nn.CrossEntropyLoss()

    def epoch() -> float:
        order, loss_sum = torch.randperm(len(x)), torch.zeros(())
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            optimizer.zero_grad(set_to_none=True)
            loss = measure(predict(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                loss_sum += loss * len(chosen)
        return float(loss_sum) / len(x)

    return Work(epoch, STEPS)


SIDES: dict[str, Callable[[str, Settings], Work]] = {
    "gpudl": partial(keras_steps, "gpudl"),
    "torch": partial(torch_steps, False, False),
    "torch-channels-last": partial(torch_steps, True, False),
    "torch-compile": partial(torch_steps, True, True),
    "keras-jax": partial(keras_steps, "keras"),
    "keras-tensorflow": partial(keras_steps, "keras"),
}
WORKLOADS = [Workload(case, "us/step", {side: partial(steps, case) for side, steps in SIDES.items()}) for case in CASES]
