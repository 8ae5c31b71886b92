"""Transformers: training steps of two blocks on random vectors, whose results are to be other random vectors."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads.base import Settings, Work, Workload

BATCH, TOKENS, WIDTH, HEADS, INSIDE, BLOCKS, STEPS = 32, 128, 256, 4, 1024, 2, 4


def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Return random inputs and targets of as many batches as a call trains on."""
    random = np.random.default_rng(0)
    shape = (STEPS * BATCH, TOKENS, WIDTH)
    return random.standard_normal(shape, np.float32), random.standard_normal(shape, np.float32)


def keras_steps(name: str, settings: Settings) -> Work:
    """Return a pass of `fit` for gpudl or Keras, whose programs are the same."""
    framework = importlib.import_module(name)
    layers = framework.layers
    x = inputs = framework.Input((TOKENS, WIDTH))
    for _ in range(BLOCKS):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y)])
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        x = layers.Add()([x, layers.Dense(WIDTH)(layers.Dense(INSIDE, activation="gelu")(y))])
    model = framework.Model(inputs, x)
    model.compile(optimizer="adam", loss="mse")
    given, wanted = vectors()

    def epoch() -> float:
        return float(model.fit(given, wanted, batch_size=BATCH, verbose=0).history["loss"][0])

    return Work(epoch, STEPS)


def torch_steps(compiles: bool, settings: Settings) -> Work:
    """Return the same as a plain loop in PyTorch, with its own layer of the same arithmetic."""
    import torch
    from torch import nn

    def block() -> Any:
        return nn.TransformerEncoderLayer(WIDTH, HEADS, INSIDE, 0.0, "gelu", 1e-5, batch_first=True, norm_first=True)

    model = nn.Sequential(*(block() for _ in range(BLOCKS)))
    optimizer = torch.optim.Adam(model.parameters())
    predict = torch.compile(model) if compiles else model
    difference = nn.MSELoss()
    given, wanted = map(torch.from_numpy, vectors())

    def epoch() -> float:
        order, loss_sum = torch.randperm(len(given)), torch.zeros(())
        for start in range(0, len(given), BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss = difference(predict(given[chosen]), wanted[chosen])
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                loss_sum += loss
        return float(loss_sum) / STEPS

    return Work(epoch, STEPS)


WORKLOADS = [
    Workload(
        "transformer-2x128x256",
        "us/step",
        {
            "gpudl": partial(keras_steps, "gpudl"),
            "torch": partial(torch_steps, False),
            "torch-compile": partial(torch_steps, True),
            "keras-jax": partial(keras_steps, "keras"),
            "keras-tensorflow": partial(keras_steps, "keras"),
        },
    )
]
