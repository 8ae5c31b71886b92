"""What layers on sequences, images and volumes should compute, in float64 NumPy: loops over outputs and taps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from window_oracles import Axis

Array = np.ndarray
Function = Callable[[Array], Array]
Place = tuple[int, ...]


def each(value: Any, rank: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * rank


def last(x: Array, data_format: str) -> Array:
    return np.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def back(y: Array, data_format: str) -> Array:
    return np.moveaxis(y, -1, 1) if data_format == "channels_first" else y


def slid(size: Place, kernel: Place, strides: Any, padding: str, dilation: Any) -> list[Axis]:
    """Return the axes over which a window slides."""
    rank, found = len(size), []
    for n, k, s, d in zip(size, kernel, each(strides, rank), each(dilation, rank), strict=True):
        found.append(Axis(n, k, s, d, ((k - 1) * d, 0) if padding.lower() == "causal" else padding.lower()))
    return found


def taps(axes: list[Axis]) -> Iterator[tuple[Place, Place, Place]]:
    """Yield (output, tap, position) for each position that a window sees."""
    for output in product(*(range(len(axis.taps)) for axis in axes)):
        for seen in product(*(axis.taps[o] for axis, o in zip(axes, output, strict=True))):
            yield output, tuple(tap for tap, _ in seen), tuple(at for _, at in seen)


def convolved(x: Array, w: Array, axes: list[Axis], groups: int = 1) -> Array:
    y = np.zeros((len(x), *(len(axis.taps) for axis in axes), w.shape[-1]))
    share, filters = w.shape[-2], w.shape[-1] // groups
    for output, tap, at in taps(axes):
        for g in range(groups):
            mine = slice(g * filters, (g + 1) * filters)
            seen = x[(slice(None), *at)][:, g * share : (g + 1) * share]
            y[(slice(None), *output, mine)] += seen @ w[tap][:, mine]
    return y


def conv(activations: dict[str | None, Function]) -> Callable[..., Array]:
    def oracle(
        x: Array,
        *weights: Array,
        strides: Any = 1,
        padding: str = "valid",
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: str | None = None,
        data_format: str = "channels_last",
        **_: Any,
    ) -> Array:
        x, w = last(x, data_format), weights[0]
        y = convolved(x, w, slid(x.shape[1:-1], w.shape[:-2], strides, padding, dilation_rate), groups)
        return activations[activation](back(y + sum(weights[1:]), data_format))

    return oracle


def conv_transpose(
    x: Array,
    *weights: Array,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    dilation_rate: Any = 1,
    data_format: str = "channels_last",
    **_: Any,
) -> Array:
    """Add each position times the kernel to a large array, and cut out of it what Keras takes."""
    x, w = last(x, data_format), weights[0]
    rank = x.ndim - 2
    steps, more, apart = each(strides, rank), each(output_padding, rank), each(dilation_rate, rank)
    extent = [(k - 1) * d + 1 for k, d in zip(w.shape, apart, strict=False)]
    whole = np.zeros(
        (len(x), *((n + 3) * s + e for n, s, e in zip(x.shape[1:-1], steps, extent, strict=True)), w.shape[-2])
    )
    for at in np.ndindex(x.shape[1:-1]):
        for tap in np.ndindex(w.shape[:-2]):
            to = tuple(i * s + t * d for i, s, t, d in zip(at, steps, tap, apart, strict=True))
            whole[(slice(None), *to)] += x[(slice(None), *at)] @ w[tap].T
    cut = []
    for n, s, e, p in zip(x.shape[1:-1], steps, extent, more, strict=True):
        scattered = (n - 1) * s + e
        if padding == "valid":
            first, size = 0, scattered + (max(s - e, 0) if p is None else p)
        else:  # half of what is too much is left out at the beginning
            size = n * s if p is None else scattered - e // 2 * 2 + p
            first = max((scattered - size) // 2, 0)
        cut.append(slice(first, first + size))
    return back(whole[(slice(None), *cut)] + sum(weights[1:]), data_format)


def per_channel(x: Array, w: Array, axes: list[Axis]) -> Array:
    y = np.zeros((len(x), *(len(axis.taps) for axis in axes), *w.shape[-2:]))
    for output, tap, at in taps(axes):
        y[(slice(None), *output)] += x[(slice(None), *at)][..., None] * w[tap]
    return y.reshape(*y.shape[:-2], -1)


def depthwise(
    x: Array,
    *weights: Array,
    strides: Any = 1,
    padding: str = "valid",
    dilation_rate: Any = 1,
    data_format: str = "channels_last",
    **_: Any,
) -> Array:
    """Return a depthwise convolution; with two kernels, a separable one."""
    x, w, rest = last(x, data_format), weights[0], list(weights[1:])
    y = per_channel(x, w, slid(x.shape[1:-1], w.shape[:-2], strides, padding, dilation_rate))
    if rest and rest[0].ndim > 1:
        point = rest.pop(0)
        y = y @ point.reshape(point.shape[-2:])
    return back(y + sum(rest), data_format)


def pool(reduce: Callable[..., Array]) -> Callable[..., Array]:
    def oracle(
        x: Array,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str = "channels_last",
        **_: Any,
    ) -> Array:
        x = last(x, data_format)
        size = each(pool_size, x.ndim - 2)
        axes = slid(x.shape[1:-1], size, size if strides is None else strides, padding, 1)
        seen: dict[Place, list[Array]] = {}
        for output, _, at in taps(axes):
            seen.setdefault(output, []).append(x[(slice(None), *at)])
        y = np.zeros((len(x), *(len(axis.taps) for axis in axes), x.shape[-1]))
        for output, values in seen.items():
            y[(slice(None), *output)] = reduce(values, axis=0)
        return back(y, data_format)

    return oracle


def adaptive(reduce: Callable[..., Array]) -> Callable[..., Array]:
    def oracle(x: Array, output_size: Any, data_format: str = "channels_last", **_: Any) -> Array:
        x = last(x, data_format)
        counts = each(output_size, x.ndim - 2)
        y = np.zeros((len(x), *counts, x.shape[-1]))
        for at in np.ndindex(counts):
            part = [slice(i * n // c, -(-(i + 1) * n // c)) for i, n, c in zip(at, x.shape[1:-1], counts, strict=True)]
            window = x[(slice(None), *part)]
            y[(slice(None), *at)] = reduce(window.reshape(len(x), -1, x.shape[-1]), axis=1)
        return back(y, data_format)

    return oracle


def whole(reduce: Callable[..., Array]) -> Callable[..., Array]:
    def oracle(x: Array, data_format: str = "channels_last", keepdims: bool = False, **_: Any) -> Array:
        x = last(x, data_format)
        y = reduce(x.reshape(len(x), -1, x.shape[-1]), axis=1)
        return back(y.reshape(len(x), *(1,) * (x.ndim - 2), -1), data_format) if keepdims else y

    return oracle


def _pairs(value: Any, rank: int) -> list[tuple[int, int]]:
    given = (value,) if rank == 1 else each(value, rank)
    return [each(v, 2) for v in given]  # type: ignore[misc]


def padded(x: Array, padding: Any = 1, data_format: str = "channels_last", **_: Any) -> Array:
    x = last(x, data_format)
    return back(np.pad(x, [(0, 0), *_pairs(padding, x.ndim - 2), (0, 0)]), data_format)


def cropped(x: Array, cropping: Any, data_format: str = "channels_last", **_: Any) -> Array:
    x = last(x, data_format)
    kept = [slice(a, n - b) for (a, b), n in zip(_pairs(cropping, x.ndim - 2), x.shape[1:-1], strict=True)]
    return back(x[(slice(None), *kept)], data_format)


def enlarged(x: Array, size: Any = 2, data_format: str = "channels_last", **_: Any) -> Array:
    x = last(x, data_format)
    for axis, times in enumerate(each(size, x.ndim - 2), 1):
        x = np.repeat(x, times, axis)
    return back(x, data_format)


RANKS = (1, 2, 3)
FIRST = {"data_format": "channels_first"}
SEQUENCES, IMAGES, VOLUMES = (2, 7, 4), (2, 6, 5, 4), (2, 4, 5, 3, 2)
SHAPES = {1: SEQUENCES, 2: IMAGES, 3: VOLUMES}


def oracles(activations: dict[str | None, Function]) -> dict[str, Callable[..., Array]]:
    """Return what each layer should compute, by name."""
    families: dict[str, tuple[tuple[int, ...], Callable[..., Array]]] = {
        "Conv{}D": (RANKS, conv(activations)),
        "Conv{}DTranspose": (RANKS, conv_transpose),
        "DepthwiseConv{}D": (RANKS[:2], depthwise),
        "SeparableConv{}D": (RANKS[:2], depthwise),
        "MaxPooling{}D": (RANKS, pool(np.max)),
        "AveragePooling{}D": (RANKS, pool(np.mean)),
        "AdaptiveMaxPooling{}D": (RANKS, adaptive(np.max)),
        "AdaptiveAveragePooling{}D": (RANKS, adaptive(np.mean)),
        "GlobalMaxPooling{}D": (RANKS, whole(np.max)),
        "GlobalAveragePooling{}D": (RANKS, whole(np.mean)),
        "ZeroPadding{}D": (RANKS, padded),
        "Cropping{}D": (RANKS, cropped),
        "UpSampling{}D": (RANKS, enlarged),
    }
    return {name.format(rank): oracle for name, (ranks, oracle) in families.items() for rank in ranks}


# More of each layer is drawn in test_spatial_parity.py.
CASES: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("Conv1D", SEQUENCES, {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    ("Conv1D", SEQUENCES, {"filters": 4, "kernel_size": 2, "strides": 2, "groups": 2, "activation": "relu"}),
    ("Conv3D", VOLUMES, {"filters": 3, "kernel_size": (2, 3, 2), "strides": (2, 1, 1), "padding": "same"}),
    ("Conv1DTranspose", SEQUENCES, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ("Conv2DTranspose", IMAGES, {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 1}),
    ("Conv2DTranspose", (2, 4, 5, 3), {"filters": 2, "kernel_size": 2, "dilation_rate": 2, **FIRST}),
    ("Conv3DTranspose", (1, 2, 3, 2, 2), {"filters": 3, "kernel_size": 3, "strides": (1, 2, 3), "padding": "same"}),
    ("DepthwiseConv1D", SEQUENCES, {"kernel_size": 3, "depth_multiplier": 2}),
    ("DepthwiseConv2D", IMAGES, {"kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False}),
    ("SeparableConv1D", SEQUENCES, {"filters": 3, "kernel_size": 3, "padding": "same"}),
    ("SeparableConv2D", (2, 3, 6, 5), {"filters": 3, "kernel_size": (2, 3), "depth_multiplier": 2, **FIRST}),
    ("MaxPooling1D", SEQUENCES, {"pool_size": 3, "strides": 2, "padding": "same"}),
    ("MaxPooling3D", VOLUMES, {"pool_size": (2, 2, 3), "strides": (1, 2, 1), "padding": "same"}),
    ("AveragePooling1D", (2, 3, 7), {"pool_size": 3, **FIRST}),
    ("AveragePooling3D", VOLUMES, {"pool_size": 2, "padding": "same"}),
    *((f"AdaptiveMaxPooling{rank}D", SHAPES[rank], {"output_size": 2}) for rank in RANKS),
    *((f"AdaptiveAveragePooling{rank}D", SHAPES[rank], {"output_size": 2}) for rank in RANKS),
    ("GlobalMaxPooling1D", SEQUENCES, {}),
    ("GlobalMaxPooling3D", VOLUMES, {"keepdims": True}),
    ("GlobalAveragePooling1D", SEQUENCES, {"keepdims": True}),
    ("GlobalAveragePooling3D", VOLUMES, FIRST),
    ("ZeroPadding1D", SEQUENCES, {"padding": (2, 1)}),
    ("ZeroPadding2D", IMAGES, {"padding": ((1, 0), (2, 3)), **FIRST}),
    ("ZeroPadding3D", VOLUMES, {"padding": (1, 0, 2)}),
    ("Cropping1D", SEQUENCES, {"cropping": (2, 1)}),
    ("Cropping2D", IMAGES, {"cropping": ((1, 0), (2, 1))}),
    ("Cropping3D", (2, 4, 5, 3, 3), {"cropping": 1, **FIRST}),
    ("UpSampling1D", SEQUENCES, {"size": 3}),
    ("UpSampling2D", IMAGES, {"size": (2, 3)}),
    ("UpSampling3D", (1, 2, 2, 3, 2), {"size": (1, 2, 2), **FIRST}),
]
