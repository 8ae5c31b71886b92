"""Ways to compute products on the GPU, what is exact, and how far from it a result may be."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cuda_cpu
import numpy as np
import pytest
from gpudl.kernels import precision
from gpudl.kernels.cuda import gemm, tiles
from gpudl.kernels.cuda.tiles import Tile
from gpudl.kernels.geometry import Window
from strict_cupy import installed

GUARD = 32
SINGLE, DOUBLE, SHORT, TENSOR = (
    tiles.candidates(size, tensor) for size, tensor in ((4, False), (8, False), (2, True), (4, True))
)
Oracle = Callable[..., np.ndarray]


@contextmanager
def double() -> Iterator[Any]:
    """Let a test have CuPy's double, with products of float32 as exact as by default."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    before = precision.chosen()
    gemm.forget()
    try:
        with installed():
            import cupy

            yield cupy
    finally:
        gemm.forget()
        precision.choose(before, "a test")


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


def check(
    cupy: Any,
    way: Way,
    run: Callable[..., None],
    shape: Any,
    ins: Any,
    oracle: Oracle,
    depth: int,
    finish: Callable[..., np.ndarray] | None = None,
) -> float:
    """Compare `run` with `oracle`, in both orders of the threads, into an out full of NaN with a guard around it.

    Args:
        cupy: CuPy or its double.
        way: how the product is computed.
        run: fills its first argument from others.
        shape: of the out.
        ins: the other arguments, on the host: two factors, and what `finish` takes.
        oracle: the product of factors in float64; of absolute values it is what bounds the error.
        depth: products of a sum.
        finish: what follows the product, which is rounded before; it must not enlarge an error.

    Returns:
        The largest error, as a share of what it may be.
    """
    size = int(np.prod(shape))

    def outs() -> list[np.ndarray]:
        buffer = cupy.asarray(np.full(size + 2 * GUARD, np.nan).astype(ins[0].dtype))
        run(buffer[GUARD : GUARD + size].reshape(shape), *map(cupy.asarray, ins))
        return [buffer.get()]

    (got,) = cuda_cpu.same_in_any_order(outs)
    got = got.astype(np.float64)
    assert np.isnan(got[:GUARD]).all()
    assert np.isnan(got[GUARD + size :]).all()
    wide = [x.astype(np.float64) for x in ins]
    factors, rest = wide[:2], wide[2:]
    exact, sizes = oracle(*factors), oracle(*map(np.abs, factors))
    bound = way.bound(exact, sizes, depth)
    if finish is not None:
        bound = bound + way.bound(sum(map(np.abs, rest), np.abs(exact)), np.zeros(()), 0)
        exact = finish(exact, *rest)
    error = np.abs(got[GUARD : GUARD + size].reshape(shape) - exact)
    assert np.all(error <= bound), (way, shape, [x.shape for x in ins], np.unravel_index(error.argmax(), shape))
    return float((error / np.maximum(bound, np.finfo(np.float64).tiny)).max(initial=0))


def normal(rng: np.random.Generator, dtype: np.dtype[Any], *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


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
