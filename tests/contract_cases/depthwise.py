"""Cases of the depthwise convolution: loops over outputs and taps, from the definition."""

from __future__ import annotations

import numpy as np
from gpudl.kernels.geometry import Window

from contract_cases.contract import Contract, Rng, Sample, normal
from contract_cases.conv import THREE, WINDOWS, Shape, out_size, overlap, positions, random_window, taps


def value(x: np.ndarray, w: np.ndarray, window: Window) -> np.ndarray:
    out = np.zeros((x.shape[0], *out_size(x.shape, window), x.shape[3]))
    for i, j, a, b, y, z in taps(x.shape, window):
        out[:, i, j] += x[:, y, z] * w[a, b]
    return out


def input_grad(g: np.ndarray, w: np.ndarray, shape: Shape, window: Window) -> np.ndarray:
    dx = np.zeros(shape)
    for i, j, a, b, y, z in taps(shape, window):
        dx[:, y, z] += g[:, i, j] * w[a, b]
    return dx


def weight_grad(x: np.ndarray, g: np.ndarray, window: Window) -> np.ndarray:
    dw = np.zeros((*window.kernel, x.shape[3]))
    for i, j, a, b, y, z in taps(x.shape, window):
        dw[a, b] += (x[:, y, z] * g[:, i, j]).sum(0)
    return dw


def value_make(rng: Rng, shape: Shape, window: Window, filters: int) -> Sample:
    return Sample((normal(rng, *shape), normal(rng, *window.kernel, shape[3])), {"window": window})


def input_grad_make(rng: Rng, shape: Shape, window: Window, filters: int) -> Sample:
    g, w = normal(rng, shape[0], *out_size(shape, window), shape[3]), normal(rng, *window.kernel, shape[3])
    return Sample((g, w), {"shape": shape, "window": window})


def weight_grad_make(rng: Rng, shape: Shape, window: Window, filters: int) -> Sample:
    return Sample((normal(rng, *shape), normal(rng, shape[0], *out_size(shape, window), shape[3])), {"window": window})


def drawn(rng: Rng) -> tuple[Shape, Window, int]:
    """Return images, also with more channels than a vector has lanes, and a window that fits them."""
    (n, h, w, c), window, filters = random_window(rng)
    return (n, h, w, int(rng.choice((c, 16, 37)))), window, filters


X, W, G = np.ones((1, 5, 5, 2)), np.ones((3, 3, 2)), np.ones((1, 4, 4, 2))

CONTRACTS = [
    Contract(
        "depthwise_conv2d",
        value,
        value_make,
        WINDOWS,
        drawn,
        [Sample((X, W[:2]), THREE), Sample((X, W[:, :, :1]), THREE), Sample((X[0], W), THREE)],
        roundings=lambda sample: overlap(sample) + 1,
        magnitude=lambda x, w, **static: value(np.abs(x), np.abs(w), **static),
    ),
    Contract(
        "depthwise_conv2d_input_grad",
        input_grad,
        input_grad_make,
        WINDOWS,
        drawn,
        [Sample((G, W), THREE | {"shape": X.shape}), Sample((G[:, :3, :3], W[:1]), THREE | {"shape": X.shape})],
        roundings=lambda sample: overlap(sample) + 1,
        magnitude=lambda g, w, **static: input_grad(np.abs(g), np.abs(w), **static),
    ),
    Contract(
        "depthwise_conv2d_weight_grad",
        weight_grad,
        weight_grad_make,
        WINDOWS,
        drawn,
        [Sample((X, G), THREE), Sample((X, G[0]), THREE)],
        roundings=positions,
        magnitude=lambda x, g, **static: weight_grad(np.abs(x), np.abs(g), **static),
    ),
]
