"""Cases of the convolution: loops over outputs and taps, from the definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gpudl.kernels.geometry import Window
from window_oracles import Axis

from contract_cases.contract import Contract, Rng, Sample, normal

Shape = tuple[int, ...]


def taps(shape: Shape, window: Window) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yield (output row, output column, tap row, tap column, input row, input column) inside the image."""
    for i, rows in enumerate(axis(shape, window, 0).taps):
        for j, columns in enumerate(axis(shape, window, 1).taps):
            for a, y in rows:
                for b, x in columns:
                    yield i, j, a, b, y, x


def axis(shape: Shape, window: Window, which: int) -> Axis:
    """Return the spatial axis number `which` of images of `shape`."""
    w = window
    padding = w.padding if isinstance(w.padding, str) else w.padding[which]
    return Axis(shape[1 + which], w.kernel[which], w.strides[which], w.dilation[which], padding)


def out_size(shape: Shape, window: Window) -> Shape:
    """Return (OH, OW)."""
    return len(axis(shape, window, 0).taps), len(axis(shape, window, 1).taps)


def im2col(x: np.ndarray, window: Window) -> np.ndarray:
    n, _, _, c = x.shape
    oh, ow = out_size(x.shape, window)
    cols = np.zeros((n, oh, ow, *window.kernel, c))
    for i, j, a, b, y, z in taps(x.shape, window):
        cols[:, i, j, a, b] = x[:, y, z]
    return cols.reshape(n * oh * ow, window.kernel[0] * window.kernel[1] * c)


def col2im(cols: np.ndarray, shape: Shape, window: Window) -> np.ndarray:
    spread = cols.reshape(shape[0], *out_size(shape, window), *window.kernel, shape[3])
    x = np.zeros(shape)
    for i, j, a, b, y, z in taps(shape, window):
        x[:, y, z] += spread[:, i, j, a, b]
    return x


def conv2d(x: np.ndarray, w: np.ndarray, window: Window) -> np.ndarray:
    out = np.zeros((x.shape[0], *out_size(x.shape, window), w.shape[3]))
    for i, j, a, b, y, z in taps(x.shape, window):
        for c in range(x.shape[3]):
            out[:, i, j] += x[:, y, z, c, None] * w[a, b, c]
    return out


def input_grad(g: np.ndarray, w: np.ndarray, shape: Shape, window: Window) -> np.ndarray:
    dx = np.zeros(shape)
    for i, j, a, b, y, z in taps(shape, window):
        for f in range(w.shape[3]):
            dx[:, y, z] += g[:, i, j, f, None] * w[a, b, :, f]
    return dx


def weight_grad(x: np.ndarray, g: np.ndarray, window: Window) -> np.ndarray:
    dw = np.zeros((*window.kernel, x.shape[3], g.shape[3]))
    for i, j, a, b, y, z in taps(x.shape, window):
        for n in range(x.shape[0]):
            dw[a, b] += x[n, y, z, :, None] * g[n, i, j]
    return dw


WINDOWS = [
    ((2, 5, 6, 3), Window((3, 3), (1, 1)), 4),
    ((2, 5, 6, 2), Window((3, 2), (2, 1), "same"), 3),
    ((1, 7, 6, 1), Window((2, 3), (1, 2), "valid", (2, 2)), 2),
    ((1, 4, 5, 2), Window((3, 3), (1, 1), "same", (2, 1)), 1),
    ((2, 1, 1, 3), Window((1, 1), (1, 1)), 2),
    ((1, 2, 2, 1), Window((5, 5), (1, 1), "same"), 2),
    ((2, 6, 6, 2), Window((2, 2), (3, 3)), 2),
    ((0, 4, 4, 2), Window((3, 3), (1, 1)), 2),
    ((2, 4, 5, 3), Window((3, 2), (1, 2), ((2, 0), (0, 3))), 2),
    ((1, 7, 8, 2), Window((2, 3), (3, 2), ((1, -2), (0, -1))), 17),
]


def random_window(rng: Rng) -> tuple[Shape, Window, int]:
    """Return the shape of images, a window that fits them, and a number of filters."""
    kernel, strides, dilation, grow = ((int(a), int(b)) for a, b in rng.integers(1, 4, (4, 2)))
    padding = str(rng.choice(["valid", "same", "pads"]))
    pads = tuple((int(a), int(b)) for a, b in rng.integers((0, -1), 3, (2, 2)))
    window = Window(kernel, strides, pads if padding == "pads" else padding, dilation)
    n, c, filters = (int(v) for v in rng.integers(1, 5, 3))
    height, width = (e + g for e, g in zip(window.extent, grow, strict=True))
    return (n, height, width, c), window, filters


def im2col_make(rng: Rng, shape: Shape, window: Window, filters: int) -> Sample:
    return Sample((normal(rng, *shape),), {"window": window})


def col2im_make(rng: Rng, shape: Shape, window: Window, filters: int) -> Sample:
    oh, ow = out_size(shape, window)
    cols = normal(rng, shape[0] * oh * ow, window.kernel[0] * window.kernel[1] * shape[3])
    return Sample((cols,), {"shape": shape, "window": window})


def conv2d_make(rng: Rng, shape: Shape, window: Window, filters: int) -> Sample:
    return Sample((normal(rng, *shape), normal(rng, *window.kernel, shape[3], filters)), {"window": window})


def input_grad_make(rng: Rng, shape: Shape, window: Window, filters: int) -> Sample:
    g = normal(rng, shape[0], *out_size(shape, window), filters)
    w = normal(rng, *window.kernel, shape[3], filters)
    return Sample((g, w), {"shape": shape, "window": window})


def weight_grad_make(rng: Rng, shape: Shape, window: Window, filters: int) -> Sample:
    g = normal(rng, shape[0], *out_size(shape, window), filters)
    return Sample((normal(rng, *shape), g), {"window": window})


def overlap(sample: Sample) -> float:
    return sample.static["window"].kernel[0] * sample.static["window"].kernel[1]


def products(sample: Sample) -> float:
    """Return the number of products summed for one output of a convolution, and one for their rounding."""
    return overlap(sample) * sample.inputs[0].shape[3] + 1


def positions(sample: Sample) -> float:
    n, height, width, _ = sample.inputs[0].shape
    return n * height * width + 1


def _abs(oracle: Any) -> Any:
    return lambda *inputs, **static: oracle(*(np.abs(x) for x in inputs), **static)


X, W = np.ones((1, 5, 5, 2)), np.ones((3, 3, 2, 4))
THREE = {"window": Window((3, 3), (1, 1))}
G = np.ones((1, 4, 4, 4))

CONTRACTS = [
    Contract(
        "im2col",
        im2col,
        im2col_make,
        WINDOWS,
        random_window,
        [Sample((X[0],), THREE), Sample((X[:, :2],), THREE)],
    ),
    Contract(
        "col2im",
        col2im,
        col2im_make,
        WINDOWS,
        random_window,
        [Sample((np.ones((9, 17)),), THREE | {"shape": X.shape})],
        roundings=overlap,
        magnitude=_abs(col2im),
    ),
    Contract(
        "conv2d",
        conv2d,
        conv2d_make,
        WINDOWS,
        random_window,
        [Sample((X, W[:2]), THREE), Sample((X, W[:, :, :1]), THREE), Sample((X[0], W), THREE)],
        roundings=products,
        magnitude=_abs(conv2d),
    ),
    Contract(
        "conv2d_input_grad",
        input_grad,
        input_grad_make,
        WINDOWS,
        random_window,
        [Sample((G, W), THREE | {"shape": X.shape})],
        # Each entry of the product g w^T has its own sum over the filters, rounded, before the taps are added.
        roundings=lambda sample: overlap(sample) + sample.inputs[0].shape[3] + 1,
        magnitude=_abs(input_grad),
    ),
    Contract(
        "conv2d_weight_grad",
        weight_grad,
        weight_grad_make,
        WINDOWS,
        random_window,
        [Sample((X, G), THREE), Sample((X, G[0]), THREE)],
        roundings=positions,
        magnitude=_abs(weight_grad),
    ),
]
