"""Where the framework itself is the cost: steps of a single unit, and predictions of few rows."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads.base import Settings, Work, Workload
from benchmarks.workloads.networks import keras_model, torch_model

STEPS, BATCH, FEATURES = 500, 32, 3
Shape = tuple[int, int]


def line() -> tuple[np.ndarray, np.ndarray]:
    """Return rows of three features, and what a linear unit can learn of them."""
    random = np.random.default_rng(0)
    x = random.standard_normal((STEPS * BATCH, FEATURES), np.float32)
    return x, x @ np.array([[1], [-2], [3]], np.float32) + 1


def keras_unit(framework: Any) -> Any:
    """Return one linear unit of gpudl or Keras."""
    model = framework.Sequential([framework.layers.Input((FEATURES,)), framework.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    return model


def keras_steps(name: str, settings: Settings) -> Work:
    """Return `fit` on one linear unit."""
    model = keras_unit(importlib.import_module(name))
    x, y = line()

    def epoch() -> float:
        return float(model.fit(x, y, batch_size=BATCH, verbose=0).history["loss"][0])

    return Work(epoch, STEPS)


def torch_steps(settings: Settings) -> Work:
    """Return the same as a plain loop in PyTorch, which shuffles and sums the loss as `fit` does."""
    import torch
    from torch import nn

    model, (x, y) = nn.Linear(FEATURES, 1), map(torch.from_numpy, line())
    optimizer, mean_square = torch.optim.SGD(model.parameters(), lr=0.01), nn.MSELoss()

    def epoch() -> float:
        order, loss_sum = torch.randperm(len(x)), torch.zeros(())
        for start in range(0, len(x), BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss = mean_square(model(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                loss_sum += loss * len(chosen)
        return float(loss_sum) / len(x)

    return Work(epoch, STEPS)


def rows(shape: Shape) -> np.ndarray:
    """Return inputs to predict from, (rows, features)."""
    return np.random.default_rng(0).random(shape, np.float32)


def keras_predict(name: str, model: Callable[[Any], Any], shape: Shape, settings: Settings) -> Work:
    """Return `predict` of gpudl or Keras, in its default batches of 32."""
    made, x = model(importlib.import_module(name)), rows(shape)
    return Work(lambda: made.predict(x, verbose=0), check=len)


def torch_predict(model: Callable[[], Any], shape: Shape, settings: Settings) -> Work:
    """Return a forward pass over all rows at once in PyTorch, as an array."""
    import torch

    made, inputs = model(), torch.from_numpy(rows(shape))

    def predict() -> np.ndarray:
        with torch.no_grad():
            outputs: np.ndarray = made(inputs).numpy()
        return outputs

    return Work(predict, check=len)


def torch_unit() -> Any:
    """Return one linear unit in PyTorch."""
    from torch import nn

    return nn.Linear(FEATURES, 1)


def torch_classifier() -> Any:
    """Return the dense network in PyTorch, with the softmax that `predict` has."""
    from torch import nn

    return nn.Sequential(torch_model("mnist-mlp"), nn.Softmax(1))


def keras_classifier(framework: Any) -> Any:
    """Return the dense network of gpudl or Keras."""
    return keras_model(framework, "mnist-mlp")


def _prediction(name: str, shape: Shape, keras: Callable[[Any], Any], torch: Callable[[], Any]) -> Workload:
    peer = partial(keras_predict, "keras", keras, shape)
    ours = partial(keras_predict, "gpudl", keras, shape)
    theirs = partial(torch_predict, torch, shape)
    return Workload(name, "us", {"gpudl": ours, "torch": theirs, "keras-jax": peer, "keras-tensorflow": peer})


_peer_steps = partial(keras_steps, "keras")
WORKLOADS = [
    Workload(
        "dense1",
        "us/step",
        {
            "gpudl": partial(keras_steps, "gpudl"),
            "torch": torch_steps,
            "keras-jax": _peer_steps,
            "keras-tensorflow": _peer_steps,
        },
    ),
    _prediction("dense1-predict-1", (1, FEATURES), keras_unit, torch_unit),
    *(
        _prediction(f"predict-{count}", (count, 28 * 28), keras_classifier, torch_classifier)
        for count in (1, 32, 10_000)
    ),
]
