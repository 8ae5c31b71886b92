"""The kernels that claim several ops at once: what these ops are, and random arrays for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gpudl.kernels.geometry import Window

from gpudl import ops
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.pool import max_pool

Arrays = tuple[np.ndarray, ...]
Stages = tuple[dict[str, Any], ...]
Rng = np.random.Generator


def whole(rng: Rng, low: int, high: int, count: int) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, high + 1, count))


def normal(rng: Rng, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def convolution(rng: Rng) -> tuple[Window, tuple[int, ...], int]:
    """Return a window, the shape of images that it fits, and a number of filters."""
    while True:
        kernel, strides, dilation = whole(rng, 1, 3, 2), whole(rng, 1, 2, 2), whole(rng, 1, 2, 2)
        if rng.random() < 0.4:  # what most networks have, and what some kernels are for
            kernel, strides, dilation = (3, 3), (1, 1), (1, 1)
        (n,), size, (c, filters) = whole(rng, 1, 9, 1), whole(rng, 2, 17, 2), whole(rng, 1, 70, 2)
        window = Window(kernel, strides, str(rng.choice(["valid", "same"])), dilation)
        if window.padding == "same" or all(s >= e for s, e in zip(size, window.extent, strict=True)):
            crop = tuple(int(rng.integers(0, min(2, o))) for o in window.output(size))
            return Window(kernel, strides, window.padding, dilation, crop), (n, *size, c), filters


def pooling(rng: Rng, size: tuple[int, ...]) -> Window | None:
    """Return a window whose positions in an image of `size` lie side by side, if one fits."""
    kernel = [(2, 2), (3, 3), (2, 3)][int(rng.integers(3))]
    dilation = (1, 1) if rng.random() < 0.8 else (2, 1)
    extent = Window(kernel, (1, 1), "valid", dilation).extent
    gaps = whole(rng, 0, 1, 2) if rng.random() < 0.6 else (0, 0)
    strides = tuple(e + s for e, s in zip(extent, gaps, strict=True))
    fits = all(n >= e for n, e in zip(size, extent, strict=True))
    return Window(kernel, strides, "valid", dilation) if fits else None


def pooled(rng: Rng) -> tuple[Window, tuple[int, ...], int, Window]:
    while True:
        window, shape, filters = convolution(rng)
        pool = pooling(rng, window.output(shape[1:3]))
        if pool is not None:
            return window, shape, filters, pool


def activation(rng: Rng) -> dict[str, Any]:
    return {"activation": str(rng.choice(["linear", "relu"]))}


def draw_matmul(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    m, k, n = whole(rng, 1, 70, 3)
    ta, tb = (bool(v) for v in rng.integers(0, 2, 2))
    inputs = normal(rng, *((k, m) if ta else (m, k))), normal(rng, *((n, k) if tb else (k, n))), normal(rng, n)
    return inputs, ({"transpose_a": ta, "transpose_b": tb}, activation(rng))


def draw_conv(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    window, shape, filters = convolution(rng)
    inputs = normal(rng, *shape), normal(rng, *window.kernel, shape[3], filters), normal(rng, filters)
    return inputs, ({"window": window, "algorithm": algorithm}, activation(rng))


def draw_transposed(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    window, shape, filters = convolution(rng)
    inputs = normal(rng, shape[0], *window.output(shape[1:3]), filters), normal(rng, *window.kernel, shape[3], filters)
    stages = {"shape": shape, "window": window, "algorithm": algorithm}, activation(rng)
    return (*inputs, normal(rng, shape[3])), stages


def draw_pooled(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    window, shape, filters, pool = pooled(rng)
    inputs = normal(rng, *shape), normal(rng, *window.kernel, shape[3], filters), normal(rng, filters)
    return inputs, ({"window": window, "algorithm": algorithm}, activation(rng), {"window": pool})


def maxima(rng: Rng, shape: tuple[int, ...], pool: Window) -> Arrays:
    """Return a gradient, maxima after a ReLU and their taps, for a pooling of images of `shape`."""
    out = (shape[0], *pool.output(shape[1:3]), shape[3])
    taps = rng.integers(0, pool.taps, out).astype(np.uint8)
    return normal(rng, *out), np.maximum(normal(rng, *out), np.float32(0)), taps


def draw_spread(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    window, shape, filters, pool = pooled(rng)
    shape = (shape[0], *window.output(shape[1:3]), filters)
    return maxima(rng, shape, pool), ({"activation": "relu"}, {"shape": shape, "window": pool})


def draw_weights(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    # The kernel takes few rows of dw only: a small window or channel, and images enough to share out.
    while True:
        window, (_, *size, c), filters, pool = pooled(rng)
        c = min(c, int(rng.integers(1, 4)))
        if window.taps * c <= 9:
            break
    shape = (int(rng.integers(9, 18)), *size, c)
    images = (shape[0], *window.output(shape[1:3]), filters)
    stages = (
        {"activation": "relu"},
        {"shape": images, "window": pool},
        {"shape": (filters,)},
        {"window": window, "algorithm": algorithm},
    )
    return (*maxima(rng, images, pool), normal(rng, *shape)), stages


def draw_normal(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    shape = (*whole(rng, 1, 40, int(rng.integers(1, 4))), int(rng.integers(1, 71)))
    return (normal(rng, *shape), *normal(rng, 2, shape[-1])), ({"epsilon": 1e-3}, {})


def draw_scaled(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    (x, scale, shift), _ = draw_normal(rng, algorithm)
    return (x, scale, shift, scale * shift), ({}, {})


def draw_normal_grad(rng: Rng, algorithm: str) -> tuple[Arrays, Stages]:
    (x, gamma, mean), (static, _) = draw_normal(rng, algorithm)
    g, y = normal(rng, 2, *x.shape)
    return (g, y, x, gamma, mean, np.abs(gamma * mean)), ({"activation": "relu"}, static)


def normalized(s: Stages, x: Any, gamma: Any, beta: Any) -> Any:
    y, mean, variance = ops.batch_norm(x, gamma, beta, **s[0])
    return mean, variance, ops.relu(y)


def pooled_conv(s: Stages, x: Any, w: Any, b: Any) -> Any:
    return max_pool(ops.bias_activation(ops.conv2d(x, w, **s[0]), b, **s[1]), **s[2])


def spread(s: Stages, g: Any, y: Any, taps: Any) -> Any:
    return ops.max_pool_grad(ops.activation_grad(g, y, **s[0]), taps, **s[1])


def weights(s: Stages, g: Any, y: Any, taps: Any, x: Any) -> Any:
    before = spread(s, g, y, taps)
    return ops.sum_to(before, **s[2]), ops.conv2d_weight_grad(x, before, **s[3])


@dataclass
class Case:
    """A chain: how its inputs are drawn, its ops by themselves, and how many roundings lie behind an out.

    The roundings are those of sums of products. A chain without them is compared with its ops alone.
    """

    draw: Callable[[Rng, str], tuple[Arrays, Stages]]
    ops: Callable[..., Any]
    roundings: Callable[..., float] | None = None

    def composed(self, inputs: Arrays, stages: Stages) -> Arrays:
        outs = self.ops(stages, *inputs)
        return tuple(t.numpy() for t in (outs if isinstance(outs, tuple) else (outs,)))


CASES = {
    "matmul+bias_activation": Case(
        draw_matmul,
        lambda s, a, b, bias: ops.bias_activation(matmul(a, b, **s[0]), bias, **s[1]),
        lambda a, b, bias: b.size / bias.size + 1,
    ),
    "conv2d+bias_activation": Case(
        draw_conv,
        lambda s, x, w, b: ops.bias_activation(ops.conv2d(x, w, **s[0]), b, **s[1]),
        lambda x, w, b: w.size / b.size + 1,
    ),
    "conv2d_input_grad+bias_activation": Case(
        draw_transposed,
        lambda s, g, w, b: ops.bias_activation(ops.conv2d_input_grad(g, w, **s[0]), b, **s[1]),
        lambda g, w, b: w.size / b.size + 1,
    ),
    "conv2d+bias_activation+max_pool": Case(draw_pooled, pooled_conv, lambda x, w, b: w.size / b.size + 1),
    "activation_grad+max_pool_grad": Case(draw_spread, spread, lambda *inputs: 0),
    "activation_grad+max_pool_grad+(sum_to,conv2d_weight_grad)": Case(
        draw_weights, weights, lambda g, y, taps, x: g.size / g.shape[3] + len(x)
    ),
    "batch_norm+relu": Case(draw_normal, normalized),
    "scale_shift+relu": Case(draw_scaled, lambda s, *inputs: ops.relu(ops.scale_shift(*inputs))),
    "activation_grad+batch_norm_grad": Case(
        draw_normal_grad,
        lambda s, g, y, *rest: ops.registry["batch_norm_grad"](ops.activation_grad(g, y, **s[0]), *rest, **s[1]),
    ),
}
SUMS = {name: case for name, case in CASES.items() if case.roundings is not None}
"""The chains of sums of products, which are for float32 alone."""
