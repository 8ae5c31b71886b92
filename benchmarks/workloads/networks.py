"""The tutorials' networks on MNIST: their first epoch of training.

Every pass begins with the same weights and empty slots of the optimizer. A network that had learnt its images by heart
would send back gradients so small that they are subnormal numbers, which some kernels compute many times more slowly.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads.base import Settings, Work, Workload

BATCH_SIZES = {"mnist-mlp": 128, "mnist-cnn": 64}


def digits(network: str, settings: Settings, least: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return training images as the network takes them, channels last, no pixel below `least`, and one-hot labels."""
    assert settings.data is not None
    with np.load(settings.data) as arrays:
        images, labels = (arrays[name][: settings.images] for name in ("x_train", "y_train"))
    shape = (28 * 28,) if network == "mnist-mlp" else (28, 28, 1)
    x = images.reshape(-1, *shape).astype("float32") / 255
    return np.maximum(x, np.float32(least)), np.eye(10, dtype="float32")[labels]


def batch(network: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images and labels, which cost what digits cost."""
    random = np.random.default_rng(0)
    shape = (28 * 28,) if network == "mnist-mlp" else (28, 28, 1)
    return random.random((size, *shape), np.float32), np.eye(10, dtype="float32")[random.integers(0, 10, size)]


def keras_model(framework: Any, network: str, width: int = 1) -> Any:
    """Return the compiled network of gpudl or Keras, whose programs are the same."""
    layers = framework.layers
    if network == "mnist-mlp":
        first = [layers.Input((28 * 28,)), layers.Dense(512 * width, activation="relu")]
    else:
        first = [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32 * width, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64 * width, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64 * width, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64 * width, activation="relu"),
        ]
    model = framework.Sequential([*first, layers.Dense(10, activation="softmax")])
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def torch_model(network: str, width: int = 1) -> Any:
    """Return the same network in PyTorch; it ends with the scores, before the softmax."""
    from torch import nn

    if network == "mnist-mlp":
        return nn.Sequential(nn.Linear(28 * 28, 512 * width), nn.ReLU(), nn.Linear(512 * width, 10))
    first, second = 32 * width, 64 * width
    return nn.Sequential(
        nn.Conv2d(1, first, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(second, second, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(9 * second, second),
        nn.ReLU(),
        nn.Linear(second, 10),
    )


def keras_epoch(name: str, network: str, x: np.ndarray, y: np.ndarray, settings: Settings) -> Work:
    """Return one pass of `fit` for gpudl or Keras."""
    model = keras_model(importlib.import_module(name), network, settings.width)
    size = settings.batch_size or BATCH_SIZES[network]
    begin = model.get_weights()

    def epoch() -> float:
        model.set_weights(begin)
        for slot in model.optimizer.variables:
            if len(slot.shape):
                slot.assign(np.zeros(slot.shape, "float32"))
        history = model.fit(x, y, batch_size=size, verbose=0)
        return float(history.history["loss"][0])

    return Work(epoch)


def torch_epoch(channels_last: bool, network: str, x: np.ndarray, y: np.ndarray, settings: Settings) -> Work:
    """Return one pass of a plain training loop in PyTorch, with the same shuffling, loss and accuracy."""
    import torch
    from torch import nn

    model = torch_model(network, settings.width)
    images, labels = torch.from_numpy(x), torch.from_numpy(y.argmax(axis=1))
    if network == "mnist-cnn":
        layout = torch.channels_last if channels_last else torch.contiguous_format
        images = images.permute(0, 3, 1, 2).contiguous(memory_format=layout)
        model = model.to(memory_format=layout)
    size = settings.batch_size or BATCH_SIZES[network]
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.001, alpha=0.9, eps=1e-7)
    cross_entropy = nn.CrossEntropyLoss()
    begin = {name: value.clone() for name, value in model.state_dict().items()}

    def epoch() -> float:
        model.load_state_dict(begin)
        optimizer.state.clear()
        order = torch.randperm(len(images))
        loss_sum, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for start in range(0, len(images), size):
            chosen = order[start : start + size]
            optimizer.zero_grad(set_to_none=True)
            scores = model(images[chosen])
            loss = cross_entropy(scores, labels[chosen])
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                loss_sum += loss * len(chosen)
                right += (scores.argmax(dim=1) == labels[chosen]).sum()
        return float(loss_sum) / len(images)

    return Work(epoch)


EPOCHS: dict[str, Callable[[str, np.ndarray, np.ndarray, Settings], Work]] = {
    "gpudl": partial(keras_epoch, "gpudl"),
    "torch": partial(torch_epoch, False),
    "torch-channels-last": partial(torch_epoch, True),
    "keras-jax": partial(keras_epoch, "keras"),
    "keras-tensorflow": partial(keras_epoch, "keras"),
}


def epoch(side: str, network: str, least: float, settings: Settings) -> Work:
    """Return one side's pass over the digits."""
    return EPOCHS[side](network, *digits(network, settings, least), settings)


def _workload(network: str, name: str, least: float = 0) -> Workload:
    # Without images there is no layout to choose.
    sides = [side for side in EPOCHS if network == "mnist-cnn" or side != "torch-channels-last"]
    return Workload(name, "s", {side: partial(epoch, side, network, least) for side in sides}, reads_digits=True)


WORKLOADS = [
    *(_workload(network, network) for network in BATCH_SIZES),
    _workload("mnist-mlp", "mnist-mlp-without-zeros", least=0.01),  # gpudl leaves zeros out of products
]
