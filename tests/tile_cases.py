"""Every tile with every dtype that it multiplies, in each of the four products, beside float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from gemm_ways import DOUBLE, SHORT, SINGLE, TENSOR, Oracle, Way, inputs, normal, value, weights
from gpudl.kernels.cuda import conv2d, conv2d_input_grad, conv2d_weight_grad, matmul
from gpudl.kernels.geometry import Window

PACK = {"float16": 8, "bfloat16": 8, "float32": 4, "float64": 2}  # elements of 16 bytes
WAYS = [
    *(Way(dtype, tile, many=PACK[dtype]) for dtype in ("float16", "bfloat16") for tile in SHORT),
    *(Way("float32", tile, many=4) for tile in (*TENSOR, *SINGLE)),
    *(Way("float64", tile, many=2) for tile in DOUBLE),
]
SPLIT = [Way(dtype, tiles[-2], 3, PACK[dtype]) for dtype, tiles in (("float16", SHORT), ("float32", TENSOR))]
LOOSE = [Way(dtype, tiles[2]) for dtype, tiles in (("float16", SHORT), ("float32", TENSOR))]  # no 16 bytes at a time
ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "relu": lambda x, bias: np.maximum(x + bias, 0),
    "tanh": lambda x, bias: np.tanh(x + bias),
}


@dataclass(frozen=True)
class Case:
    """A product by one tile; that of matrices and the value of a convolution get a bias and an activation too."""

    name: str
    way: Way
    activation: str | None = None

    def __str__(self) -> str:
        tile = self.way.tile
        kind = "TF32" if tile.tensor and self.way.dtype == "float32" else self.way.dtype
        how = f"{tile.m}x{tile.n}x{tile.k}{'-split' * (self.way.splits > 1)}{'-loose' * (self.way.many == 1)}"
        return "-".join(filter(None, [self.name, kind, how, self.activation]))

    def drawn(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        """Return what `gemm_ways.check` needs from the kernel on.

        Sizes reach over the edges of a tile, and need more steps than are in shared memory at a time.
        """
        tile, odd = self.way.tile, self.way.odd
        f = odd(tile.n + 3)
        if self.name == "matmul":
            m, k = odd(tile.m + 5), odd(tile.k * (tile.stages + 1))
            a, b = normal(rng, dtype, m, k), normal(rng, dtype, k, f)
            return self._finished(matmul.matmul, (m, f), (a, b), np.matmul, k)
        window, c = Window((3, 3), (2, 1), "same"), odd(tile.k // 4)
        shape = (2, 15, 11, c)
        x, w = normal(rng, dtype, *shape), normal(rng, dtype, 3, 3, c, f)
        g = normal(rng, dtype, 2, *window.output(shape[1:3]), f)
        if self.name == "conv2d":
            run, oracle = partial(conv2d.conv2d, window=window), partial(value, window=window)
            return self._finished(run, g.shape, (x, w), oracle, window.taps * c)
        if self.name == "conv2d_input_grad":
            run = partial(conv2d_input_grad.conv2d_input_grad, shape=shape, window=window)
            return run, shape, (g, w), partial(inputs, window=window, shape=shape), window.taps * f
        run = partial(conv2d_weight_grad.conv2d_weight_grad, window=window)
        return run, w.shape, (x, g), partial(weights, window=window), g.size // f

    def _finished(
        self, run: Callable[..., None], shape: tuple[int, ...], ins: tuple[Any, ...], oracle: Oracle, depth: int
    ) -> tuple[Any, ...]:
        """Add a bias and the activation to a product, where there is one."""
        if self.activation is None:
            return run, shape, ins, oracle, depth
        bias = np.linspace(-2, 2, shape[-1]).astype(ins[0].dtype)
        stages = (getattr(run, "keywords", {}), {"activation": self.activation})
        both = matmul.matmul_bias_activation if self.name == "matmul" else conv2d.conv2d_bias_activation
        return partial(both, stages=stages), shape, (*ins, bias), oracle, depth, ACTIVATIONS[self.activation]


PRODUCTS = ("matmul", "conv2d", "conv2d_input_grad", "conv2d_weight_grad")
CASES = [
    *(Case(name, way) for way in (*WAYS, *SPLIT, *LOOSE) for name in PRODUCTS),
    *(Case(name, way, "relu") for way in (*WAYS, *SPLIT) for name in PRODUCTS[:2]),
    *(Case(name, way, "tanh") for way in (WAYS[0], *SPLIT) for name in PRODUCTS[:2]),
]
