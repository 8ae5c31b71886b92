"""Matrix products and convolutions by tiles (`tile.cuh`), alone and together with a bias and an activation.

Each is one product of an (M, K) and a (K, N) matrix, whose elements are gathered where they lie. Where a product has
few tiles, its sums are split among several blocks, and a second kernel adds up the parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

import numpy as np

from .. import precision
from ..geometry import Ints, Window
from ..registry import Stages, accelerates, twins
from .launch import Kernel, contiguous, function, index, real, run
from .tiles import Card, Sums, Tile, choose
from .windows import numbers

_FINISH = {None: "BARE", "linear": "LINEAR", "relu": "RELU", "sigmoid": "SIGMOID", "tanh": "TANH"}
"""What GPUDL_FINISH has to be for an activation; None is without a bias, too."""
_WAYS = ("auto", "implicit")
_NEAR = 32  # outs of a block of sum_splits
_THREADS = 256
_MOST_BLOCKS = 2**16


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
    """Forget what is known of the devices."""
    _card.cache_clear()


def on_tensor_cores(dtype: str, capability: int) -> bool:
    """Tell whether a card's tensor cores multiply arrays of `dtype`."""
    if dtype == "float32":
        return precision.tensor_cores() and capability >= 80
    return {"float16": 75, "bfloat16": 80}.get(dtype, capability + 1) <= capability


@dataclass(frozen=True)
class Product:
    """A kernel that computes a product of two factors.

    Args:
        name: the kernel, and the `.cu` file it is in.
        sums: what it computes.
        rows: how many elements of each factor lie side by side, as far as a pack may reach.
        shapes: the kernel's last parameters.
        macros: what it is compiled with, besides types and tile.
    """

    name: str
    sums: Sums
    rows: tuple[int, int]
    shapes: Ints
    macros: tuple[tuple[str, int], ...] = ()

    def compiles(self, out: Any, *ins: Any, activation: str | None = None) -> bool:
        """Tell whether the kernels for such arrays compile; asks for no address."""
        tile, splits = self._chosen(out)
        packs = [self._pack(out, tile, row, 0) for row in self.rows]
        return None not in self._kernels(out, ins, tile, splits, packs, activation)

    def __call__(self, out: Any, a: Any, b: Any, bias: Any = None, activation: str | None = None) -> None:
        """Compute activation(a @ b + bias) on the current stream, or the product alone without bias and activation."""
        if out.size == 0:
            return
        s = self.sums
        tile, splits = self._chosen(out)
        packs = [self._pack(out, tile, row, x.data.ptr) for row, x in zip(self.rows, (a, b), strict=True)]
        kernels = self._kernels(out, (a, b), tile, splits, packs, activation)
        if None in kernels:
            raise RuntimeError(f"{self.name} of {self.name}.cu does not compile here; ask `takes` first.")
        partial = _scratch(splits * out.size, out.dtype) if splits > 1 else out
        bias = out if bias is None else bias
        grid = (ceil(s.m / tile.m) * ceil(s.n / tile.n), splits, s.classes)
        shared = tile.shared_bytes(out.dtype.itemsize, s.a_along, s.b_along)
        number = index(out, a, b)[1]
        run(kernels[0], grid, tile.threads, (out, partial, a, b, bias, *map(number, self.shapes)), shared)
        if splits > 1:
            blocks = min(ceil(out.size / _NEAR), _MOST_BLOCKS)
            number = index(out)[1]
            run(kernels[1], blocks, _THREADS, (out, partial, bias, number(out.size), number(s.n), np.int32(splits)))

    def _chosen(self, out: Any) -> tuple[Tile, int]:
        here = card()
        return choose(self.sums, out.dtype.itemsize, on_tensor_cores(out.dtype.name, here.capability), here)

    def _pack(self, out: Any, tile: Tile, row: int, address: int) -> int:
        """Return how many elements a thread moves at a time: 16 bytes, here or as what is summed, or fewer."""
        itemsize = int(out.dtype.itemsize)
        sizes = (16, 4, itemsize) if tile.tensor else (16 // max(itemsize, 4) * itemsize, itemsize)
        most = row * itemsize or itemsize
        return next(size // itemsize for size in sizes if address % size == most % size == 0)

    def _kernels(
        self, out: Any, ins: tuple[Any, ...], tile: Tile, splits: int, packs: list[int], activation: str | None
    ) -> list[Kernel | None]:
        """Return the kernel, and the one that adds up the parts if sums are split; only the last one finishes them."""
        types = {"GPUDL_REAL": real(out) or "", "GPUDL_INDEX": index(out, *ins)[0]}
        moved = {"GPUDL_PACK_A": packs[0], "GPUDL_PACK_B": packs[1]}
        finish = _FINISH[activation]
        first = types | tile.macros() | moved | dict(self.macros) | {"GPUDL_FINISH": finish if splits == 1 else "BARE"}
        kernels = [function(f"{self.name}.cu", self.name, **first)]
        if splits > 1:
            types["GPUDL_INDEX"] = index(out)[0]
            kernels.append(function("splits.cu", "sum_splits", **types, GPUDL_FINISH=finish))
        return kernels


def _scratch(size: int, dtype: Any) -> Any:
    import cupy

    return cupy.empty(size, np.float64 if dtype == np.float64 else np.float32)


def of_matrices(out: Any, a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Product:
    """Return the product of a (M, K) and b (K, N); a transposed one comes as (K, M) or (N, K)."""
    m, n = out.shape
    k = a.shape[0 if transpose_a else 1]
    sums = Sums(m, n, k, a_along=not transpose_a, b_along=transpose_b)
    macros = (("GPUDL_TRANSPOSE_A", int(transpose_a)), ("GPUDL_TRANSPOSE_B", int(transpose_b)))
    return Product("matmul", sums, (a.shape[1], b.shape[1]), (m, n, k), macros)


def _of_windows(name: str, sums: Sums, rows: tuple[int, int], image: Ints, window: Window, filters: int) -> Product:
    shapes = tuple(map(int, numbers(image, window, 1, True)))
    return Product(name, sums, rows, (*shapes, filters))


def of_value(y: Any, x: Any, w: Any, window: Window) -> Product:
    """Return the product of the windows of x (N, H, W, C) and the filters w (KH, KW, C, F)."""
    c, f = w.shape[2:]
    sums = Sums(y.size // max(f, 1), f, window.taps * c, a_along=True, b_along=False)
    return _of_windows("conv2d", sums, (c, f), tuple(x.shape), window, f)


def of_input(dx: Any, g: Any, w: Any, window: Window) -> Product:
    """Return the product of windows of g (N, OH, OW, F) and the filters w (KH, KW, C, F), for each class of inputs."""
    n, *size, c = dx.shape
    f = w.shape[3]
    inputs = [ceil(length / step) for length, step in zip(size, window.strides, strict=True)]
    taps = [ceil(length / step) for length, step in zip(window.kernel, window.strides, strict=True)]
    down, right = window.strides
    sums = Sums(n * inputs[0] * inputs[1], c, taps[0] * taps[1] * f, a_along=True, b_along=True, classes=down * right)
    return _of_windows("conv2d_input_grad", sums, (f, f), tuple(dx.shape), window, f)


def of_weights(dw: Any, x: Any, g: Any, window: Window) -> Product:
    """Return the product of the windows of x (N, H, W, C), as columns, and g (N, OH, OW, F)."""
    c, f = dw.shape[2:]
    sums = Sums(window.taps * c, f, g.size // max(f, 1), a_along=False, b_along=False)
    return _of_windows("conv2d_weight_grad", sums, (c, f), tuple(x.shape), window, f)


def _fit(*arrays: Any, axes: int) -> bool:
    """Accept C-contiguous arrays of one kind of floats, with `axes` axes."""
    alike = len({a.dtype for a in arrays}) == 1 and real(*arrays) is not None
    return alike and contiguous(*arrays) and all(len(a.shape) == axes for a in arrays)


def _bias_fits(out: Any, bias: Any, activation: str) -> bool:
    return bias.dtype == out.dtype and bias.flags.c_contiguous and activation in _FINISH


def _value_fits(
    y: Any, x: Any, w: Any, *, window: Window, algorithm: str = "auto", activation: str | None = None
) -> bool:
    fits = algorithm in _WAYS and _fit(y, x, w, axes=4)
    return fits and of_value(y, x, w, window).compiles(y, x, w, activation=activation)


@accelerates("conv2d", device="cuda", takes=_value_fits)
def conv2d(y: Any, x: Any, w: Any, *, window: Window, algorithm: str = "auto") -> None:
    """Convolve x (N, H, W, C) with w (KH, KW, C, F) into y (N, OH, OW, F)."""
    of_value(y, x, w, window)(y, x, w)


def _takes_input(dx: Any, g: Any, w: Any, *, shape: Ints, window: Window, algorithm: str = "auto") -> bool:
    return algorithm in _WAYS and _fit(dx, g, w, axes=4) and of_input(dx, g, w, window).compiles(dx, g, w)


@accelerates("conv2d_input_grad", device="cuda", takes=_takes_input)
def conv2d_input_grad(dx: Any, g: Any, w: Any, *, shape: Ints, window: Window, algorithm: str = "auto") -> None:
    """Compute the gradient of `conv2d` with respect to x from that of y."""
    of_input(dx, g, w, window)(dx, g, w)


def _takes_weights(dw: Any, x: Any, g: Any, *, window: Window, algorithm: str = "auto") -> bool:
    return algorithm in _WAYS and _fit(dw, x, g, axes=4) and of_weights(dw, x, g, window).compiles(dw, x, g)


@accelerates("conv2d_weight_grad", device="cuda", takes=_takes_weights)
def conv2d_weight_grad(dw: Any, x: Any, g: Any, *, window: Window, algorithm: str = "auto") -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y."""
    of_weights(dw, x, g, window)(dw, x, g)


def takes_matrices(out: Any, a: Any, b: Any, *, activation: str | None = None, **flips: bool) -> bool:
    """Accept two matrices of one kind of floats; big ones only where no other twin, such as cuBLAS, takes them."""
    if not _fit(out, a, b, axes=2):
        return False
    product = of_matrices(out, a, b, **flips)
    others = (twin for twin in twins("cuda")["matmul"] if twin.run is not matmul)
    if product.sums.is_big and any(twin.takes(out, a, b, **flips) for twin in others):
        return False
    return product.compiles(out, a, b, activation=activation)


@accelerates("matmul", device="cuda", takes=takes_matrices, first=True)
def matmul(out: Any, a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False) -> None:
    """Multiply a (M, K) by b (K, N) into out (M, N); a transposed side comes as (K, M) or (N, K)."""
    of_matrices(out, a, b, transpose_a, transpose_b)(out, a, b)


def _biased_value(y: Any, x: Any, w: Any, b: Any, *, stages: Stages) -> bool:
    activation = stages[1]["activation"]
    return _bias_fits(y, b, activation) and _value_fits(y, x, w, **stages[0], activation=activation)


@accelerates("conv2d+bias_activation", device="cuda", takes=_biased_value)
def conv2d_bias_activation(y: Any, x: Any, w: Any, b: Any, *, stages: Stages) -> None:
    """Compute activation(conv2d(x, w) + b)."""
    of_value(y, x, w, stages[0]["window"])(y, x, w, b, stages[1]["activation"])


def _biased_matrices(out: Any, a: Any, b: Any, bias: Any, *, stages: Stages) -> bool:
    activation = stages[1]["activation"]
    return _bias_fits(out, bias, activation) and takes_matrices(out, a, b, **stages[0], activation=activation)


@accelerates("matmul+bias_activation", device="cuda", takes=_biased_matrices)
def matmul_bias_activation(out: Any, a: Any, b: Any, bias: Any, *, stages: Stages) -> None:
    """Compute activation(a @ b + bias)."""
    of_matrices(out, a, b, **stages[0])(out, a, b, bias, stages[1]["activation"])
