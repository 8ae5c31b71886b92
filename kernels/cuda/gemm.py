"""The common part of tiled matrix products and convolutions (`tile.cuh`), alone or fused with bias and activation.

Each is one product of an (M, K) and a (K, N) matrix, whose elements are gathered from the arrays in place. Where a
product has few tiles, its sums are split among several blocks, and a second kernel adds up the partial sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil

import numpy as np

from .. import precision
from ..geometry import Ints, Window
from .launch import Array, Kernel, contiguous, function, index, real, run
from .splits import start_sum, sum_kernel
from .tiles import Card, Sums, Tile, choose
from .windows import numbers

_FINISH = {None: "BARE", "linear": "LINEAR", "relu": "RELU", "sigmoid": "SIGMOID", "tanh": "TANH"}
"""The value of GPUDL_FINISH for each activation; None means no bias and no activation."""
WAYS = ("auto", "implicit")
"""The values of a convolution's `algorithm` for which these kernels are used."""


def card() -> Card:
    """Return the current device."""
    import cupy

    return _card(cupy.cuda.runtime.getDevice())


@cache
def _card(device: int) -> Card:
    import cupy

    it = cupy.cuda.Device(device)
    most = it.attributes
    shared = most.get("MaxSharedMemoryPerBlockOptin", 48 << 10)
    return Card(int(it.compute_capability), most["MultiProcessorCount"], shared)


def forget() -> None:
    """Forget the properties of all devices."""
    _card.cache_clear()


def on_tensor_cores(dtype: str, capability: int) -> bool:
    """Return whether tensor cores of this compute capability multiply arrays of `dtype`."""
    if dtype == "float32":
        return precision.tensor_cores() and capability >= 80
    return {"float16": 75, "bfloat16": 80}.get(dtype, capability + 1) <= capability


@dataclass(frozen=True)
class Product:
    """A kernel that computes a product of two matrices.

    Args:
        name: name of the kernel and of its `.cu` file.
        sums: the size of the product.
        rows: number of contiguous elements of each operand, which limits the size of a pack.
        shapes: the kernel's last parameters.
        macros: the macros it is compiled with, besides types and tile.
    """

    name: str
    sums: Sums
    rows: tuple[int, int]
    shapes: Ints
    macros: tuple[tuple[str, int], ...] = ()

    def compiles(self, out: Array, *ins: Array, activation: str | None = None) -> bool:
        """Return whether the kernels for such arrays compile; their addresses are not used."""
        tile, splits = self._chosen(out)
        packs = [self._pack(out, tile, row, 0) for row in self.rows]
        return None not in self._kernels(out, ins, tile, splits, packs, activation)

    def __call__(
        self, out: Array, a: Array, b: Array, bias: Array | None = None, activation: str | None = None
    ) -> None:
        """Compute activation(a @ b + bias) on the current stream, or only a @ b without bias and activation."""
        if out.size == 0:
            return
        s = self.sums
        tile, splits = self._chosen(out)
        packs = [self._pack(out, tile, row, x.data.ptr) for row, x in zip(self.rows, (a, b), strict=True)]
        kernels = [kernel for kernel in self._kernels(out, (a, b), tile, splits, packs, activation) if kernel]
        if len(kernels) < min(splits, 2):
            raise RuntimeError(f"{self.name} of {self.name}.cu does not compile here; check `supports` first.")
        partial = _scratch(splits * out.size, out.dtype) if splits > 1 else out
        bias = out if bias is None else bias
        grid = (ceil(s.m / tile.m) * ceil(s.n / tile.n), splits, s.classes)
        shared = tile.shared_bytes(out.dtype.itemsize, s.a_along, s.b_along)
        number = index(out, a, b)[1]
        run(kernels[0], grid, tile.threads, (out, partial, a, b, bias, *map(number, self.shapes)), shared)
        if splits > 1:
            start_sum(kernels[1], out, partial, bias, s.n, splits)

    def _chosen(self, out: Array) -> tuple[Tile, int]:
        here = card()
        return choose(self.sums, out.dtype.itemsize, on_tensor_cores(out.dtype.name, here.capability), here)

    def _pack(self, out: Array, tile: Tile, row: int, address: int) -> int:
        """Return how many elements a thread moves at a time: at most 16 bytes, as stored and as summed."""
        itemsize = int(out.dtype.itemsize)
        sizes = (16, 4, itemsize) if tile.tensor else (16 // max(itemsize, 4) * itemsize, itemsize)
        most = row * itemsize or itemsize
        return next(size // itemsize for size in sizes if address % size == most % size == 0)

    def _kernels(
        self, out: Array, ins: tuple[Array, ...], tile: Tile, splits: int, packs: list[int], activation: str | None
    ) -> list[Kernel | None]:
        """Return the kernel and, if sums are split, the one that adds up the parts; the last applies the epilogue."""
        types = {"GPUDL_REAL": real(out) or "", "GPUDL_INDEX": index(out, *ins)[0]}
        moved = {"GPUDL_PACK_A": packs[0], "GPUDL_PACK_B": packs[1]}
        finish = _FINISH[activation]
        first = types | tile.macros() | moved | dict(self.macros) | {"GPUDL_FINISH": finish if splits == 1 else "BARE"}
        kernels = [function(f"{self.name}.cu", self.name, **first)]
        if splits > 1:
            kernels.append(sum_kernel(out, finish))
        return kernels


def _scratch(size: int, dtype: np.dtype) -> Array:
    import cupy

    parts: Array = cupy.empty(size, np.float64 if dtype == np.float64 else np.float32)
    return parts


def of_windows(name: str, sums: Sums, rows: tuple[int, int], image: Ints, window: Window, filters: int) -> Product:
    """Return a product, one operand of which is gathered from windows over an `image` (N, H, W, C)."""
    shapes = tuple(map(int, numbers(image, window, 1, True)))
    return Product(name, sums, rows, (*shapes, filters))


def fit(*arrays: Array, axes: int) -> bool:
    """Accept C-contiguous arrays of one floating-point dtype, with `axes` axes."""
    alike = len({a.dtype for a in arrays}) == 1 and real(*arrays) is not None
    return alike and contiguous(*arrays) and all(len(a.shape) == axes for a in arrays)


def bias_fits(out: Array, bias: Array, activation: str) -> bool:
    """Accept a bias of the dtype of `out`, and an activation that the kernels support."""
    return bias.dtype == out.dtype and bias.flags.c_contiguous and activation in _FINISH
