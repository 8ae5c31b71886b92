"""Models of many kinds, the same for gpudl and for Keras, to be written to files and read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

X = np.linspace(-1, 1, 8 * 6 * 6 * 2, dtype=np.float32).reshape(8, 6, 6, 2)
Y = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1)
ROWS = X.reshape(8, 12, 6)


def convolutional(k: Any) -> Any:
    la = k.layers
    return k.Sequential(
        [
            la.Input((6, 6, 2)),
            la.Conv2D(3, 3, padding="same", activation="relu", kernel_regularizer="l2"),
            la.BatchNormalization(),
            la.MaxPooling2D(2),
            la.Dropout(0.25, seed=1),
            la.Flatten(),
            la.Dense(1, kernel_constraint="max_norm"),
        ]
    )


def residual(k: Any) -> Any:
    la = k.layers
    x = k.Input((6, 6, 2), name="images")
    y = la.Conv2D(4, 3, padding="same")(x)
    z = la.LeakyReLU(0.1)(la.DepthwiseConv2D(3, padding="same")(y))
    y = la.Add()([y, la.LayerNormalization()(z)])
    y = la.GlobalAveragePooling2D()(y)
    return k.Model(x, la.Dense(1, name="score")(y), name="residual")


def of_ops(k: Any) -> Any:
    la, ops = k.layers, k.ops
    x = k.Input((6, 6, 2))
    flat = la.Flatten()(x)
    shared = la.Dense(4, activation="tanh")
    y = shared(flat) - shared(flat * 0.5)
    y = ops.concatenate([y, ops.mean(y, axis=-1, keepdims=True), y[:, :2]], axis=1)
    return k.Model(x, la.Dense(1)(ops.maximum(y, -0.5)))


def nested(k: Any) -> Any:
    la = k.layers
    inner = k.Sequential([la.Input((72,)), la.Dense(5, activation="gelu"), la.Dense(3)], name="inner")
    x = k.Input((6, 6, 2))
    y = inner(la.Reshape((72,))(x))
    tower_in = k.Input((3,))
    tower = k.Model(tower_in, la.Dense(2)(tower_in), name="tower")
    return k.Model(x, la.Dense(1)(la.Concatenate()([y, tower(y)])))


def recurrent(k: Any) -> Any:
    la = k.layers
    x = k.Input((12, 6))
    y = la.Bidirectional(la.LSTM(3, return_sequences=True))(la.Masking(0.5)(x))
    return k.Model(x, la.Dense(1)(la.GRU(4)(la.TimeDistributed(la.Dense(4))(y))))


def attentive(k: Any) -> Any:
    la = k.layers
    x = k.Input((12, 6))
    y = la.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    y = la.LayerNormalization()(la.Add()([x, y]))
    return k.Model(x, la.Dense(1)(la.GlobalAveragePooling1D()(la.Conv1D(4, 3, padding="causal")(y))))


MODELS: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "convolutional": (convolutional, X),
    "residual": (residual, X),
    "of_ops": (of_ops, X),
    "nested": (nested, X),
    "recurrent": (recurrent, ROWS),
    "attentive": (attentive, ROWS),
}
