"""The layers and what each should compute, in float64 NumPy, from definitions alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import normalization_cases
import numpy as np
import spatial_cases

from gpudl import layers

Array = np.ndarray


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


ACTIVATIONS: dict[str | None, Callable[[Array], Array]] = {
    None: lambda x: x,
    "linear": lambda x: x,
    "relu": lambda x: np.where(x > 0, x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": softmax,
}


def dense(x: Array, *weights: Array, activation: str | None = None, **_: Any) -> Array:
    y = np.einsum("...i,ij->...j", x, weights[0])
    return ACTIVATIONS[activation](y + weights[1] if len(weights) > 1 else y)


def normalized(
    x: Array,
    *weights: Array,
    axis: int = -1,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    training: bool = False,
    **_: Any,
) -> Array:
    moved = np.moveaxis(x, axis, -1)
    remaining = list(weights)
    gamma = remaining.pop(0) if scale else 1.0
    beta = remaining.pop(0) if center else 0.0
    mean, variance = remaining
    if training:
        rows = moved.reshape(-1, moved.shape[-1])
        mean = rows.sum(axis=0) / len(rows)
        variance = ((rows - mean) ** 2).sum(axis=0) / len(rows)
    return np.moveaxis((moved - mean) / np.sqrt(variance + epsilon) * gamma + beta, -1, axis)


def layer_normalized(
    x: Array, *weights: Array, axis: Any = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True, **_: Any
) -> Array:
    axes = sorted(a % x.ndim for a in np.atleast_1d(axis))
    count = np.prod([x.shape[a] for a in axes])
    mean = x.sum(axis=tuple(axes), keepdims=True) / count
    variance = ((x - mean) ** 2).sum(axis=tuple(axes), keepdims=True) / count
    remaining = [np.expand_dims(w, [a for a in range(x.ndim) if a not in axes]) for w in weights]
    gamma = remaining.pop(0) if scale else 1.0
    beta = remaining.pop(0) if center else 0.0
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def relu(
    x: Array, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **_: Any
) -> Array:
    y = np.where(x >= threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else np.where(y > max_value, max_value, y)


def times(x: Any, by: float) -> Any:
    return x * by


def flatten(x: Array, data_format: str = "channels_last", **_: Any) -> Array:
    x = np.moveaxis(x, 1, -1) if data_format == "channels_first" else x
    return x.reshape(len(x), -1)


ORACLES: dict[str, Callable[..., Array]] = {
    **spatial_cases.oracles(ACTIVATIONS),
    "Dense": dense,
    "BatchNormalization": normalized,
    "LayerNormalization": layer_normalized,
    "Activation": lambda x, activation, **_: ACTIVATIONS[activation](x),
    "ReLU": relu,
    "LeakyReLU": lambda x, negative_slope=0.3, **_: np.where(x > 0, x, negative_slope * x),
    "ELU": lambda x, alpha=1.0, **_: np.where(x > 0, x, alpha * (np.exp(x) - 1)),
    "Softmax": lambda x, axis=-1, **_: softmax(x, axis),
    "Flatten": flatten,
    "Permute": lambda x, dims, **_: x.transpose(0, *dims),
    "RepeatVector": lambda x, n, **_: np.stack([x] * n, axis=1),
    "Reshape": lambda x, target_shape, **_: x.reshape(len(x), *target_shape),
    "Dropout": lambda x, **_: x,
    "GaussianNoise": lambda x, **_: x,
    "ActivityRegularization": lambda x, **_: x,
    "Identity": lambda x, **_: x,
    "Lambda": lambda x, arguments, **_: x * arguments["by"],
    "Masking": lambda x, mask_value, **_: x,
    **normalization_cases.ORACLES,
}


@dataclass(frozen=True)
class Case:
    """A layer by the name that it has in Keras, too, with its arguments and the shape of a batch for it."""

    kind: str
    shape: tuple[int, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    training: bool = False

    def __str__(self) -> str:
        given = ",".join(f"{k}={getattr(v, '__name__', v)}" for k, v in self.kwargs.items())
        return f"{self.kind}({given})-{'x'.join(map(str, self.shape))}{'-training' if self.training else ''}"

    def inputs(self, batch: int | None = None) -> Array:
        shape = self.shape if batch is None else (batch, *self.shape[1:])
        return np.random.default_rng(11).normal(size=shape).astype(np.float32)

    def layer(self) -> layers.Layer:
        """Return the layer, built, with random weights."""
        layer = getattr(layers, self.kind)(**self.kwargs)
        layer(self.inputs())
        rng = np.random.default_rng(5)
        # Positive, as a variance must be.
        layer.set_weights([rng.uniform(0.2, 1.2, w.shape) for w in layer.weights])
        for weight in layer.weights:
            if weight.name in ("kernel", "bias"):
                weight.assign(rng.normal(size=weight.shape))
        return layer

    def oracle(self, x: Array, *weights: Array) -> Array:
        """Return what the layer should compute, in float64."""
        wide = [np.asarray(a, np.float64) for a in (x, *weights)]
        return ORACLES[self.kind](*wide, **self.kwargs, training=self.training)


CASES = [
    Case("Dense", (4, 5), {"units": 3}),
    Case("Dense", (4, 5), {"units": 3, "activation": "relu", "use_bias": False}),
    Case("Dense", (4, 5), {"units": 3, "activation": "softmax"}),
    Case("Dense", (2, 3, 5), {"units": 4, "activation": "tanh"}),
    Case("Dense", (2, 3, 2, 5), {"units": 1}),
    Case("Conv2D", (2, 6, 5, 2), {"filters": 3, "kernel_size": 3}),
    Case("Conv2D", (2, 6, 5, 1), {"filters": 3, "kernel_size": (2, 3), "activation": "relu", "padding": "same"}),
    Case("Conv2D", (2, 7, 6, 2), {"filters": 3, "kernel_size": 3, "strides": (2, 1), "padding": "SAME"}),
    Case("Conv2D", (2, 7, 7, 2), {"filters": 2, "kernel_size": (3, 2), "dilation_rate": 2, "use_bias": False}),
    Case("Conv2D", (2, 5, 5, 4), {"filters": 6, "kernel_size": 2, "groups": 2, "activation": "tanh"}),
    Case("Conv2D", (2, 3, 6, 5), {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}),
    Case(
        "Conv2D",
        (2, 2, 4, 5),
        {"filters": 4, "kernel_size": 2, "data_format": "channels_first", "activation": "softmax"},
    ),
    Case("MaxPooling2D", (2, 4, 6, 2)),
    Case("MaxPooling2D", (2, 5, 7, 2), {"pool_size": 3, "strides": 2, "padding": "same"}),
    Case("MaxPooling2D", (2, 2, 5, 7), {"pool_size": (2, 3), "data_format": "channels_first"}),
    Case("AveragePooling2D", (2, 4, 6, 2), {"pool_size": (2, 2)}),
    Case("AveragePooling2D", (2, 5, 7, 2), {"pool_size": 3, "strides": (1, 2), "padding": "same"}),
    Case("AveragePooling2D", (2, 2, 5, 7), {"pool_size": 2, "data_format": "channels_first"}),
    Case("BatchNormalization", (6, 3)),
    Case("BatchNormalization", (6, 3), training=True),
    Case("BatchNormalization", (3, 4, 2, 3), {"momentum": 0.9, "epsilon": 1e-2}, training=True),
    Case("BatchNormalization", (3, 2, 4, 5), {"axis": 1, "scale": False}, training=True),
    Case("BatchNormalization", (3, 2, 4, 5), {"axis": 1, "center": False}),
    Case("GlobalMaxPooling2D", (2, 4, 5, 3)),
    Case("GlobalMaxPooling2D", (2, 3, 4, 5), {"data_format": "channels_first", "keepdims": True}),
    Case("GlobalAveragePooling2D", (2, 4, 5, 3), {"keepdims": True}),
    Case("GlobalAveragePooling2D", (2, 3, 4, 5), {"data_format": "channels_first"}),
    Case("LayerNormalization", (4, 6)),
    Case("LayerNormalization", (3, 4, 5), {"epsilon": 1e-2, "center": False}),
    Case("LayerNormalization", (3, 4, 5), {"axis": 1, "scale": False}),
    Case("LayerNormalization", (3, 2, 4, 5), {"axis": [3, 1]}),
    Case("LayerNormalization", (3, 2, 4, 5), {"axis": (2, 3), "center": False, "scale": False}),
    Case("Activation", (3, 4), {"activation": "sigmoid"}),
    Case("ReLU", (3, 4)),
    Case("ReLU", (5, 8), {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.3}),
    Case("LeakyReLU", (3, 4)),
    Case("ELU", (3, 4), {"alpha": 0.7}),
    Case("Softmax", (3, 4)),
    Case("Softmax", (3, 4, 2), {"axis": 1}),
    Case("Flatten", (2, 3, 4)),
    Case("Flatten", (4,)),
    Case("Flatten", (2, 3, 4, 5), {"data_format": "channels_first"}),
    Case("Reshape", (2, 12), {"target_shape": (3, -1)}),
    Case("Reshape", (2, 3, 4), {"target_shape": (4, 3)}),
    Case("Dropout", (3, 4), {"rate": 0.5}),
    Case("Dropout", (3, 4), {"rate": 0.0}, training=True),
    Case("GaussianNoise", (3, 4), {"stddev": 0.5}),
    Case("GaussianNoise", (3, 4), {"stddev": 0.0}, training=True),
    Case("ActivityRegularization", (3, 4), {"l1": 0.1, "l2": 0.2}),
    Case("Identity", (3, 4)),
    Case("Lambda", (3, 4), {"function": times, "arguments": {"by": 3.0}}),
    Case("Masking", (3, 4, 2), {"mask_value": 0.5}),
    Case("Permute", (2, 3, 4, 5), {"dims": (3, 1, 2)}),
    Case("RepeatVector", (3, 4), {"n": 2}),
    *(Case(*case) for case in spatial_cases.CASES),
    *(Case(*case) for case in normalization_cases.CASES),
]
