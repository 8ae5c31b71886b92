"""Products by tiles on the GPU, on the double of CuPy: matrices and convolutions, on tensor cores and without."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from gemm_ways import DOUBLE, SHORT, SINGLE, TENSOR, Way, check, double, inputs, normal, value, weights
from gpudl.kernels.cuda import conv2d, conv2d_input_grad, conv2d_weight_grad, launch, matmul
from gpudl.kernels.geometry import Window


@pytest.fixture
def cupy() -> Iterator[Any]:
    with double() as cupy:
        yield cupy


MATRICES = [
    (Way("float32", SINGLE[0]), (False, False), 1),
    (Way("float32", SINGLE[1], 3, 4), (True, True), 4),
    (Way("float32", SINGLE[3], 2), (False, True), 1),
    (Way("float64", DOUBLE[0], 1, 2), (False, True), 2),
    (Way("float64", DOUBLE[1], 2), (True, False), 1),
    (Way("float16", SHORT[0], 1, 8), (False, False), 8),
    (Way("float16", SHORT[4], 2), (True, True), 1),
    (Way("bfloat16", SHORT[2], 3, 2), (False, True), 2),
    (Way("bfloat16", SHORT[3], 1, 8), (True, False), 8),
    (Way("float32", TENSOR[4], 2), (False, False), 1),
    (Way("float32", TENSOR[1], 1, 4), (True, True), 4),
]


@pytest.mark.parametrize(("way", "flips", "pack"), MATRICES, ids=lambda value: str(getattr(value, "dtype", value)))
def test_a_product_of_matrices(
    cupy: Any, monkeypatch: pytest.MonkeyPatch, way: Way, flips: tuple[bool, bool], pack: int
) -> None:
    dtype = way.use(monkeypatch)
    rng = np.random.default_rng(way.many)
    static = dict(zip(("transpose_a", "transpose_b"), flips, strict=True))
    sizes = [(1, 1, 1), (33, 7, 151), (5, 65, 17), (131, 41, 71), (0, 3, 1), *[(3, 5, 0)] * (way.many == 1)]
    for m, n, k in (map(way.odd, each) for each in sizes):
        a, b = normal(rng, dtype, m, k), normal(rng, dtype, k, n)
        laid = [np.ascontiguousarray(x.T if flip else x) for x, flip in zip((a, b), flips, strict=True)]
        check(
            cupy,
            way,
            lambda *arrays: matmul.matmul(*arrays, **static),
            (m, n),
            laid,
            lambda a, b: (a.T if flips[0] else a) @ (b.T if flips[1] else b),
            k,
        )
    compiled = [dict(key[3:]) for key in launch._kernels if key[2] == "matmul"]
    assert {(of["GPUDL_PACK_A"], of["GPUDL_PACK_B"]) for of in compiled} == {(pack, pack)}


IMAGES = [
    ((2, 7, 6, 3), 5, Window((3, 3), (1, 1), "same")),
    ((1, 9, 8, 5), 3, Window((3, 2), (2, 3), "valid")),
    ((2, 8, 9, 1), 33, Window((3, 3), (1, 1))),
    ((1, 10, 11, 2), 4, Window((2, 3), (3, 2), "same", (2, 3))),
    ((2, 9, 7, 4), 2, Window((3, 3), (1, 1), "valid", (2, 1), (1, 2))),
    ((3, 2, 3, 6), 9, Window((1, 1), (4, 2), "same")),  # more classes of inputs than rows
    ((1, 1, 2, 2), 2, Window((2, 2), (1, 1), "same", (3, 1))),  # windows wholly in the padding
    ((0, 5, 5, 2), 3, Window((3, 3), (1, 1))),
]
CONVOLUTIONS = [
    ("conv2d", Way("float32", SINGLE[2])),
    ("conv2d", Way("float32", TENSOR[5], 1, 4)),
    ("conv2d", Way("bfloat16", SHORT[4], 2, 8)),
    ("conv2d", Way("float16", SHORT[5])),
    ("conv2d_input_grad", Way("float32", SINGLE[3], 2, 4)),
    ("conv2d_input_grad", Way("float32", TENSOR[2], 2)),
    ("conv2d_input_grad", Way("float16", SHORT[4], 1, 8)),
    ("conv2d_weight_grad", Way("float64", DOUBLE[1], 3)),
    ("conv2d_weight_grad", Way("float32", TENSOR[4], 4, 4)),
    ("conv2d_weight_grad", Way("bfloat16", SHORT[4], 2)),
]


def convolved(name: str, rng: Any, dtype: Any, shape: tuple[int, ...], f: int, window: Window) -> tuple[Any, ...]:
    """Return what `check` needs: the kernel, the shape of its out, random arrays, what is exact, products of a sum."""
    n, h, wide, c = shape
    x, w = normal(rng, dtype, *shape), normal(rng, dtype, *window.kernel, c, f)
    g = normal(rng, dtype, n, *window.output((h, wide)), f)
    if name == "conv2d":
        run = partial(conv2d.conv2d, window=window)
        return run, g.shape, (x, w), partial(value, window=window), window.taps * c
    if name == "conv2d_input_grad":
        run = partial(conv2d_input_grad.conv2d_input_grad, shape=shape, window=window)
        return run, shape, (g, w), partial(inputs, window=window, shape=shape), window.taps * f
    run = partial(conv2d_weight_grad.conv2d_weight_grad, window=window)
    return run, w.shape, (x, g), partial(weights, window=window), n * h * wide


@pytest.mark.parametrize(("name", "way"), CONVOLUTIONS, ids=lambda value: str(getattr(value, "dtype", value)))
def test_a_convolution(cupy: Any, monkeypatch: pytest.MonkeyPatch, name: str, way: Way) -> None:
    dtype = way.use(monkeypatch)
    rng = np.random.default_rng(way.many)
    for (*outer, c), f, window in IMAGES:
        check(cupy, way, *convolved(name, rng, dtype, (*outer, way.odd(c)), way.odd(f), window))


def test_indices_of_64_bits(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_MOST_INT", -1)
    way = Way("float32", SINGLE[3], 2)
    rng, dtype = np.random.default_rng(9), way.use(monkeypatch)
    for name in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad"):
        check(cupy, way, *convolved(name, rng, dtype, (2, 7, 9, 5), 3, Window((3, 2), (2, 1), "same")))
    assert {dict(key[3:])["GPUDL_INDEX"] for key in launch._kernels} == {"long long"}
