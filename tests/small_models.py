"""Small networks and data for the tests of models."""

from __future__ import annotations

from typing import Any

import numpy as np

import gpudl
from gpudl import layers

SAMPLES, FEATURES, CLASSES = 70, 4, 3  # 70 = 2 * 32 + 6: the last batch is smaller


def digits(samples: int = SAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and integer labels that depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, FEATURES)).astype(np.float32)
    return x, x[:, :CLASSES].argmax(axis=1)


def mlp(**compiled: Any) -> gpudl.Sequential:
    """Return a compiled classifier of `digits`, the same one each time."""
    gpudl.utils.set_random_seed(5)
    model = gpudl.Sequential(
        [
            layers.Dense(8, activation="relu", input_shape=(FEATURES,)),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(
        **{"optimizer": "rmsprop", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **compiled}
    )
    return model


def line(**compiled: Any) -> gpudl.Sequential:
    """Return a compiled linear regression of one feature, whose weights are known."""
    model = gpudl.Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])
    model.compile(**{"optimizer": gpudl.optimizers.SGD(0.1), "loss": "mse", **compiled})
    return model


def state_of(model: gpudl.Sequential) -> list[np.ndarray]:
    """Return all that training changes: weights, and what the optimizer keeps."""
    return [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    """Tell whether two lists of arrays agree bit for bit."""
    return len(first) == len(second) and all(
        a.tobytes() == b.tobytes() and a.shape == b.shape for a, b in zip(first, second, strict=True)
    )
