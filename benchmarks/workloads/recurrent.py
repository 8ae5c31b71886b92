"""Recurrent networks: training steps of one layer over a sequence, whose last state is classified."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads.base import Settings, Work, Workload

UNITS, CLASSES, STEPS = 128, 10, 8
# By name: the layer, and batch size, steps and features of its sequences; 28 x 28 is an image of a digit by rows.
CASES: dict[str, tuple[str, tuple[int, int, int]]] = {
    "lstm-100x64": ("LSTM", (64, 100, 64)),
    "lstm-28x28": ("LSTM", (32, 28, 28)),
    "gru-100x64": ("GRU", (64, 100, 64)),
}


def sequences(batch: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random sequences and the classes of as many batches as a call trains on."""
    random = np.random.default_rng(0)
    count = STEPS * batch
    return random.standard_normal((count, *shape), np.float32), random.integers(0, CLASSES, count)


def keras_model(framework: Any, kind: str, *shape: int) -> Any:
    """Return the compiled network of gpudl or Keras, whose programs are the same."""
    layers = framework.layers
    last = layers.Dense(CLASSES, activation="softmax")
    model = framework.Sequential([layers.Input(shape), getattr(layers, kind)(UNITS), last])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def keras_steps(name: str, case: str, settings: Settings) -> Work:
    """Return a pass of `fit` for gpudl or Keras."""
    kind, (batch, *shape) = CASES[case]
    model = keras_model(importlib.import_module(name), kind, *shape)
    x, y = sequences(batch, *shape)

    def epoch() -> float:
        return float(model.fit(x, y, batch_size=batch, verbose=0).history["loss"][0])

    return Work(epoch, STEPS)


def torch_steps(case: str, settings: Settings) -> Work:
    """Return the same as a plain loop in PyTorch, which shuffles and sums the loss as `fit` does."""
    import torch
    from torch import nn

    kind, (batch, _, features) = CASES[case]
    layer, last = getattr(nn, kind)(features, UNITS, batch_first=True), nn.Linear(UNITS, CLASSES)
    optimizer = torch.optim.Adam([*layer.parameters(), *last.parameters()])
    cross_entropy = nn.CrossEntropyLoss()
    x, y = map(torch.from_numpy, sequences(*CASES[case][1]))

    def epoch() -> float:
        order, loss_sum = torch.randperm(len(x)), torch.zeros(())
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(last(layer(x[chosen])[0][:, -1]), y[chosen])
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                loss_sum += loss * len(chosen)
        return float(loss_sum) / len(x)

    return Work(epoch, STEPS)


WORKLOADS = [
    Workload(
        case,
        "us/step",
        {
            "gpudl": partial(keras_steps, "gpudl", case),
            "torch": partial(torch_steps, case),
            "keras-jax": partial(keras_steps, "keras", case),
            "keras-tensorflow": partial(keras_steps, "keras", case),
        },
    )
    for case in CASES
]
