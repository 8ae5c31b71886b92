"""What layers of normalization and of noise should compute, in float64 NumPy, and the cases of these layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray


def grouped(
    x: Array,
    *weights: Array,
    groups: int = 32,
    axis: int = -1,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    **_: Any,
) -> Array:
    moved = np.moveaxis(x, axis, -1)
    y, size = np.empty_like(moved), 1 if groups == -1 else moved.shape[-1] // groups
    for sample, to in zip(moved, y, strict=True):
        for first in range(0, moved.shape[-1], size):
            some = sample[..., first : first + size]
            to[..., first : first + size] = (some - some.mean()) / np.sqrt(some.var() + epsilon)
    remaining = list(weights)
    y = y * (remaining.pop(0) if scale else 1.0) + (remaining.pop(0) if center else 0.0)
    return np.moveaxis(y, -1, axis)


def _over(axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple(sorted(a % ndim for a in np.atleast_1d(axis)))


def rms(x: Array, scale: Array, axis: Any = -1, epsilon: float = 1e-6, **_: Any) -> Array:
    over = _over(axis, x.ndim)
    factor = np.expand_dims(scale, [a for a in range(x.ndim) if a not in over])
    return x / np.sqrt((x * x).mean(axis=over, keepdims=True) + epsilon) * factor


def unit(x: Array, axis: Any = -1, **_: Any) -> Array:
    return x / np.sqrt((x * x).sum(axis=_over(axis, x.ndim), keepdims=True))


def prelu(x: Array, alpha: Array, **_: Any) -> Array:
    return np.where(x > 0, x, alpha * x)


def einsum(x: Array, *weights: Array, equation: str, activation: str | None = None, **_: Any) -> Array:
    y = np.einsum(equation, x, weights[0])
    y = y + weights[1] if len(weights) > 1 else y
    return np.tanh(y) if activation else y


def same(x: Array, **_: Any) -> Array:
    return x


ORACLES: dict[str, Callable[..., Array]] = {
    "AlphaDropout": same,
    "EinsumDense": einsum,
    "GaussianDropout": same,
    "GroupNormalization": grouped,
    "PReLU": prelu,
    "RMSNormalization": rms,
    "SpatialDropout1D": same,
    "SpatialDropout2D": same,
    "SpatialDropout3D": same,
    "UnitNormalization": unit,
}
CASES: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("AlphaDropout", (3, 4), {"rate": 0.5}),
    ("EinsumDense", (2, 3, 4), {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"}),
    ("EinsumDense", (2, 3, 4), {"equation": "abc,cd->abd", "output_shape": (None, 5), "activation": "tanh"}),
    ("GaussianDropout", (3, 4), {"rate": 0.5}),
    ("GroupNormalization", (2, 3, 6), {"groups": 3}),
    ("GroupNormalization", (2, 4, 3, 2), {"groups": 2, "axis": 1, "center": False}),
    ("GroupNormalization", (2, 3, 6), {"groups": -1, "scale": False, "epsilon": 1e-2}),
    ("PReLU", (2, 3, 4), {"shared_axes": [1]}),
    ("RMSNormalization", (3, 5), {}),
    ("RMSNormalization", (2, 3, 4), {"axis": [1, 2], "epsilon": 1e-3}),
    ("SpatialDropout1D", (2, 3, 4), {"rate": 0.5}),
    ("SpatialDropout2D", (2, 3, 2, 4), {"rate": 0.5}),
    ("SpatialDropout3D", (2, 3, 2, 2, 4), {"rate": 0.5, "data_format": "channels_first"}),
    ("UnitNormalization", (3, 5), {}),
    ("UnitNormalization", (2, 3, 4), {"axis": (1, 2)}),
]
