"""Convolution without im2col agrees with the reference on any window, any number of channels and filters."""

from __future__ import annotations

import numpy as np
import pytest
from gpudl.kernels.cpu import conv
from gpudl.kernels.geometry import Window
from gpudl.kernels.registry import find

from gpudl import ops
from gpudl.engine.state import reference_only

CHANNELS = (1, 2, 3, 5, 8, 17, 33, 70)
FILTERS = (1, 3, 16, 17, 32, 40, 64, 65, 100, 130)  # around the widths of vectors, tiles and panels
POISON = np.float32(3e30)


def drawn(seed: int) -> tuple[Window, tuple[int, ...], int]:
    """Return a window, the shape of an input that it fits, and a number of filters."""
    rng = np.random.default_rng(seed)
    while True:
        kernel, strides, dilation = (tuple(int(v) for v in rng.integers(1, top, 2)) for top in (5, 4, 3))
        window = Window(kernel, strides, str(rng.choice(["valid", "same"])), dilation)
        n, h, w = (int(v) for v in rng.integers(1, (5, 20, 20)))
        if window.padding == "same" or (h >= window.extent[0] and w >= window.extent[1]):
            return window, (n, h, w, int(rng.choice(CHANNELS))), int(rng.choice(FILTERS))


def guarded(shape: tuple[int, ...], fill: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an array of `shape` in the middle of a poisoned one, and that one."""
    size = int(np.prod(shape))
    whole = np.full(size + 128, POISON, np.float32)
    inner = whole[64 : 64 + size].reshape(shape)
    inner[...] = fill
    return inner, whole


def assert_untouched(whole: np.ndarray) -> None:
    assert (whole[:64] == POISON).all()
    assert (whole[-64:] == POISON).all()


@pytest.mark.parametrize("seed", range(40))
def test_the_three_products_of_a_convolution(seed: int) -> None:
    window, shape, filters = drawn(seed)
    rng = np.random.default_rng(seed)
    outputs = (shape[0], *window.output(shape[1:3]), filters)
    weights = (*window.kernel, shape[3], filters)
    x, g, w = (rng.standard_normal(s) for s in (shape, outputs, weights))
    for name, target, inputs, extra in (
        ("conv2d", outputs, (x, w), {}),
        ("conv2d_input_grad", shape, (g, w), {"shape": shape}),
        ("conv2d_weight_grad", weights, (x, g), {}),
    ):
        static = {**extra, "window": window, "algorithm": "implicit"}
        with reference_only():
            exact = getattr(ops, name)(*inputs, **static).numpy()
            size = getattr(ops, name)(*map(np.abs, inputs), **static).numpy()
        given = [guarded(a.shape, a.astype(np.float32)) for a in inputs]
        out, whole = guarded(target, np.nan)
        arrays = (out, *(a for a, _ in given))
        kernel = find(name, "cpu", arrays, static)
        assert kernel is getattr(conv, name)
        kernel(*arrays, **static)
        terms = size.size and inputs[0].size * inputs[1].size // max(1, out.size) + 3
        np.testing.assert_array_less(np.abs(out - exact), np.finfo(np.float32).eps * (terms * size + 1e-30))
        for guard in (whole, *(guard for _, guard in given)):
            assert_untouched(guard)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes_go_another_way(dtype: str) -> None:
    x, w, y = np.zeros((1, 4, 4, 2), dtype), np.zeros((3, 3, 2, 5), dtype), np.zeros((1, 2, 2, 5), dtype)
    assert find("conv2d", "cpu", (y, x, w), {"window": Window((3, 3), (1, 1))}) is None


def test_nan_in_the_filters_reaches_only_its_own_filter() -> None:
    x = np.ones((1, 4, 4, 2), np.float32)
    w = np.ones((3, 3, 2, 20), np.float32)
    w[0, 0, 0, 17] = np.nan
    y = ops.conv2d(x, w, window=Window((3, 3), (1, 1))).numpy()
    assert np.isnan(y[..., 17]).all()
    assert np.isfinite(np.delete(y, 17, axis=-1)).all()
