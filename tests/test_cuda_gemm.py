"""Products by tiles on the GPU: matrices and convolutions, on tensor cores and without, on the double of CuPy."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cuda_cpu
import numpy as np
import pytest
from gpudl.kernels import precision, registry
from gpudl.kernels.cuda import gemm, launch, tiles
from gpudl.kernels.cuda.tiles import Card, Sums, Tile
from gpudl.kernels.geometry import Window
from strict_cupy import capture, installed, raw

FOLDER = Path(gemm.__file__).parent
GUARD = 32
SINGLE, DOUBLE, SHORT, TENSOR = (
    tiles.candidates(size, tensor) for size, tensor in ((4, False), (8, False), (2, True), (4, True))
)
Oracle = Callable[[Any, Any], np.ndarray]


@pytest.fixture(autouse=True)
def highest() -> Iterator[None]:
    before = precision.chosen()
    yield
    precision.choose(before, "a test")


@pytest.fixture
def cupy() -> Iterator[Any]:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    gemm.forget()
    with installed():
        import cupy

        yield cupy
    gemm.forget()


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else name)


@dataclass(frozen=True)
class Way:
    """How a product is computed.

    Args:
        dtype: of the arrays.
        tile: what a block computes.
        splits: how many blocks share out the products of a sum.
        many: lengths along which elements lie side by side are multiples of it.
    """

    dtype: str
    tile: Tile
    splits: int = 1
    many: int = 1

    def use(self, monkeypatch: pytest.MonkeyPatch) -> np.dtype[Any]:
        if self.dtype == "float32":
            precision.choose("high" if self.tile.tensor else "highest", "a test")
        monkeypatch.setattr(gemm, "choose", lambda *asked: (self.tile, self.splits))
        return dtype_of(self.dtype)

    def odd(self, size: int) -> int:
        """Return a length not below `size`, unless that is 0, of an odd number of packs: one variant serves all."""
        return (-(-size // self.many) | 1) * self.many if size else 0

    def bound(self, exact: np.ndarray, sizes: np.ndarray, depth: int) -> np.ndarray:
        """Bound the error of sums of `depth` products whose absolute values add up to `sizes`."""
        eps = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}[self.dtype]
        of_factors = (1 + 2.0**-11) ** 2 - 1 if self.dtype == "float32" and self.tile.tensor else 0.0
        of_sums = (depth + self.splits + 8) * max(2.0**-52, min(eps, 2.0**-23))  # a tensor core may cut off
        error: np.ndarray = sizes * (of_factors + of_sums)
        return error + eps * (np.abs(exact) + error) + (2.0**-24 if self.dtype == "float16" else 0)


def check(cupy: Any, way: Way, run: Callable[..., None], shape: Any, ins: Any, oracle: Oracle, depth: int) -> None:
    """Compare `run` with `oracle`, in both orders of the threads, into an out full of NaN with a guard around it."""
    size = int(np.prod(shape))

    def outs() -> list[np.ndarray]:
        buffer = cupy.asarray(np.full(size + 2 * GUARD, np.nan).astype(ins[0].dtype))
        run(buffer[GUARD : GUARD + size].reshape(shape), *map(cupy.asarray, ins))
        return [buffer.get()]

    (got,) = cuda_cpu.same_in_any_order(outs)
    got = got.astype(np.float64)
    assert np.isnan(got[:GUARD]).all() and np.isnan(got[GUARD + size :]).all()
    wide = [x.astype(np.float64) for x in ins]
    exact, sizes = oracle(*wide), oracle(*map(np.abs, wide))
    error = np.abs(got[GUARD : GUARD + size].reshape(shape) - exact)
    bound = way.bound(exact, sizes, depth)
    assert np.all(error <= bound), (way, shape, [x.shape for x in ins], np.unravel_index(error.argmax(), shape))


def normal(rng: np.random.Generator, dtype: np.dtype[Any], *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


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
    for m, n, k in ((1, 1, 1), (33, 7, 151), (5, 65, 17), (131, 41, 71), (3, 5, 0), (0, 3, 1)):
        m, n, k = (way.odd(size) for size in (m, n, k))
        a, b = normal(rng, dtype, m, k), normal(rng, dtype, k, n)
        laid = [np.ascontiguousarray(x.T if flip else x) for x, flip in zip((a, b), flips, strict=True)]
        check(
            cupy,
            way,
            lambda *arrays: gemm.matmul(*arrays, **static),
            (m, n),
            laid,
            lambda a, b: (a.T if flips[0] else a) @ (b.T if flips[1] else b),
            k,
        )
    compiled = [dict(key[3:]) for key in launch._kernels if key[2] == "matmul"]
    assert {(of["GPUDL_PACK_A"], of["GPUDL_PACK_B"]) for of in compiled} == {(pack, pack)}


def spread(x: np.ndarray, window: Window) -> np.ndarray:
    """Return the windows of x (N, H, W, C): (N, OH, OW, KH, KW, C)."""
    n, h, w, c = x.shape
    cols = np.zeros((n, *window.output((h, w)), *window.kernel, c))
    for (a, b), (rows, columns), (i, j) in window.reach((h, w)):
        cols[:, rows, columns, a, b] = x[:, i, j]
    return cols


def value(x: np.ndarray, w: np.ndarray, window: Window) -> np.ndarray:
    return np.einsum("nopabc,abcf->nopf", spread(x, window), w)


def weights(x: np.ndarray, g: np.ndarray, window: Window) -> np.ndarray:
    return np.einsum("nopabc,nopf->abcf", spread(x, window), g)


def inputs(g: np.ndarray, w: np.ndarray, window: Window, shape: tuple[int, ...]) -> np.ndarray:
    cols = np.einsum("nopf,abcf->nopabc", g, w)
    x = np.zeros(shape)
    for (a, b), (rows, columns), (i, j) in window.reach(shape[1:3]):
        x[:, i, j] += cols[:, rows, columns, a, b]
    return x


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


@pytest.mark.parametrize(("name", "way"), CONVOLUTIONS, ids=lambda value: str(getattr(value, "dtype", value)))
def test_a_convolution(cupy: Any, monkeypatch: pytest.MonkeyPatch, name: str, way: Way) -> None:
    dtype = way.use(monkeypatch)
    rng = np.random.default_rng(way.many)
    for (n, h, wide, c), f, window in IMAGES:
        c, f = way.odd(c), way.odd(f)
        x, w = normal(rng, dtype, n, h, wide, c), normal(rng, dtype, *window.kernel, c, f)
        g = normal(rng, dtype, n, *window.output((h, wide)), f)
        if name == "conv2d":
            args: Any = (g.shape, (x, w), lambda x, w: value(x, w, window), window.taps * c)
            run: Any = lambda *arrays: gemm.conv2d(*arrays, window=window)  # noqa: E731
        elif name == "conv2d_input_grad":
            args = (x.shape, (g, w), lambda g, w: inputs(g, w, window, x.shape), window.taps * f)
            run = lambda *arrays: gemm.conv2d_input_grad(*arrays, shape=x.shape, window=window)  # noqa: E731
        else:
            args = (w.shape, (x, g), lambda x, g: weights(x, g, window), n * h * wide)
            run = lambda *arrays: gemm.conv2d_weight_grad(*arrays, window=window)  # noqa: E731
        check(cupy, way, run, *args)
