"""A window with a crop: what a convolution or pooling gives without its last rows and columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.geometry import Window, WindowError

from gpudl import ops
from gpudl.engine.state import reference_only
from gpudl.ops.primitives.pool import max_pool

SEEDS = range(30)


def drawn(seed: int) -> tuple[Window, tuple[int, ...], int]:
    """Return a window with a crop, the shape of images that it fits, and a number of filters."""
    rng = np.random.default_rng(seed)
    while True:
        kernel, strides, dilation = (tuple(int(v) for v in rng.integers(1, top, 2)) for top in (4, 3, 3))
        if seed % 2:
            kernel, strides, dilation = (3, 3), (1, 1), (1, 1)  # what most networks have, in more ways than one
        window = Window(kernel, strides, str(rng.choice(["valid", "same"])), dilation)
        (n,), size, (c, filters) = (
            tuple(int(v) for v in rng.integers(1, top, k)) for top, k in ((4, 1), (14, 2), (40, 2))
        )
        if window.padding == "same" or all(s >= e for s, e in zip(size, window.extent, strict=True)):
            crop = tuple(int(rng.integers(0, o)) for o in window.output(size))
            return replace(window, crop=crop), (n, *size, c), filters


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return small whole numbers, whose sums of products are exact in any order."""
    return rng.integers(-4, 5, shape).astype(np.float32)


def appended(g: np.ndarray, crop: tuple[int, ...]) -> np.ndarray:
    """Return g with zeros where the crop has left something out."""
    return np.pad(g, ((0, 0), (0, crop[0]), (0, crop[1]), (0, 0)))


def test_the_output_is_what_is_left() -> None:
    window = Window((3, 3), (1, 1), crop=(1, 2))
    assert window.output((11, 12)) == (8, 8)
    assert window.pads((11, 12)) == ((0, 0), (0, 0))
    assert Window((3, 3), (1, 1)).crop == (0, 0)


def test_padding_is_that_of_the_whole() -> None:
    whole = Window((4, 3), (2, 2), "same")
    for crop in ((0, 1), (2, 0), (3, 2)):
        cropped = replace(whole, crop=crop)
        assert cropped.pads((9, 7)) == whole.pads((9, 7)) == ((1, 2), (1, 1))
        assert cropped.output((9, 7)) == tuple(o - c for o, c in zip(whole.output((9, 7)), crop, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_taps_reach_as_without_the_crop(seed: int) -> None:
    window, shape, _ = drawn(seed)
    size, left = shape[1:3], window.output(shape[1:3])

    def pairs(of: Window) -> Iterator[tuple[Any, ...]]:
        for tap, outputs, inputs in of.reach(size):
            ranges = [
                list(zip(range(o.start, o.stop), range(i.start, i.stop, i.step), strict=True))
                for o, i in zip(outputs, inputs, strict=True)
            ]
            yield from ((tap, a, b) for a in ranges[0] for b in ranges[1])

    inside = [(tap, a, b) for tap, a, b in pairs(replace(window, crop=())) if a[0] < left[0] and b[0] < left[1]]
    assert list(pairs(window)) == inside


@pytest.mark.parametrize("crop", [(1,), (1, 1, 1), (-1, 0)])
def test_a_crop_that_is_none_says_so(crop: tuple[int, ...]) -> None:
    with pytest.raises(WindowError, match="crop must be 2 integers that are not negative, got ") as caught:
        Window((3, 3), (1, 1), crop=crop)
    assert str(crop) in str(caught.value)


@pytest.mark.parametrize("crop", [(9, 0), (0, 10), (99, 99)])
def test_a_crop_of_everything_says_so(crop: tuple[int, ...]) -> None:
    with pytest.raises(WindowError, match="leaves nothing of an output of") as caught:
        Window((3, 3), (1, 1), crop=crop).output((11, 12))
    assert str(caught.value) == f"crop={crop} leaves nothing of an output of (9, 10)."


@pytest.mark.parametrize("way", ["reference", "auto", "implicit", "im2col"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_products_of_a_convolution(seed: int, way: str) -> None:
    window, shape, filters = drawn(seed)
    rng = np.random.default_rng(seed)
    whole = replace(window, crop=())
    (oh, ow), algorithm = window.output(shape[1:3]), "auto" if way == "reference" else way
    x, w = integers(rng, *shape), integers(rng, *window.kernel, shape[3], filters)
    g = integers(rng, shape[0], oh, ow, filters)
    cropped, full = ({"window": each, "algorithm": algorithm} for each in (window, whole))
    with reference_only() if way == "reference" else nullcontext():
        y = ops.conv2d(x, w, **cropped).numpy()
        dx = ops.conv2d_input_grad(g, w, shape=shape, **cropped).numpy()
        dw = ops.conv2d_weight_grad(x, g, **cropped).numpy()
    with reference_only():
        longer = appended(g, window.crop)
        np.testing.assert_array_equal(y, ops.conv2d(x, w, **full).numpy()[:, :oh, :ow])
        np.testing.assert_array_equal(dx, ops.conv2d_input_grad(longer, w, shape=shape, **full).numpy())
        np.testing.assert_array_equal(dw, ops.conv2d_weight_grad(x, longer, **full).numpy())


@pytest.mark.parametrize("way", ["reference", "kernels"])
@pytest.mark.parametrize("seed", SEEDS)
def test_patches_and_pooling(seed: int, way: str) -> None:
    window, shape, _ = drawn(seed)
    rng = np.random.default_rng(seed)
    whole, (oh, ow) = replace(window, crop=()), window.output(shape[1:3])
    patches = (shape[0], oh, ow, window.taps * shape[3])
    x, g, cols = integers(rng, *shape), integers(rng, shape[0], oh, ow, shape[3]), integers(rng, *patches)
    to = {"shape": shape}

    def made(window: Window, g: np.ndarray, cols: np.ndarray) -> list[np.ndarray]:
        out = shape[0], *window.output(shape[1:3]), -1
        y, taps = max_pool(x, window=window)
        results = [ops.reshape(ops.im2col(x, window=window), out), y, taps, ops.max_pool_pick(x, taps, window=window)]
        back = [
            ops.col2im(cols.reshape(-1, cols.shape[-1]), window=window, **to),
            ops.max_pool_grad(g, taps, window=window, **to),
        ]
        return [t.numpy()[:, :oh, :ow] for t in results] + [t.numpy() for t in back]

    with reference_only() if way == "reference" else nullcontext():
        got = made(window, g, cols)
    with reference_only():
        expected = made(whole, appended(g, window.crop), appended(cols, window.crop))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
