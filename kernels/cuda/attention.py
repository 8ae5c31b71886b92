"""Attention tile by tile, by the kernel of `attention.cu`, on tensor cores or without.

A tile is chosen by the sizes of a head and the shared memory of the GPU; the numbers follow from the registers and the
shared memory that they need, and were not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from ..geometry import Ints
from ..registry import accelerates
from .gemm import card, on_tensor_cores
from .launch import Argument, Array, Kernel, contiguous, function, index, real, run
from .sharing import WARP, power, sum_type

FILE = "attention.cu"
_LEAST, _MOST = 16, 256  # elements of a head in shared memory
_RESULTS = 32  # sums of a thread for the results without tensor cores
_WIDEST, _FRAGMENT = 128, 16  # elements of a head with them, of which a warp has this many rows
_BYTES = (16, 4)  # that are copied at a time


@dataclass(frozen=True)
class Tile:
    """The rows that a block has in shared memory, see `attention.cuh`.

    Args:
        head: elements of a row, rounded up.
        warps: warps that divide the rows of the block's own tile.
        rows: rows of a warp.
        step: rows of the other operand.
        tensor: whether tensor cores are used.
    """

    head: int
    warps: int
    rows: int
    step: int
    tensor: bool

    @property
    def own(self) -> int:
        """Rows of the block's own tile."""
        return self.warps * self.rows

    def shared_bytes(self, tiles: Ints, itemsize: int) -> int:
        """Return the bytes of so many tiles of own rows, of the other operand's rows and of weights."""
        own, others, weights = tiles
        unit = 16 // itemsize
        rows = (own * self.own + others * self.step) * (self.head + unit)
        return (rows + weights * self.own * (self.step + unit)) * itemsize

    def macros(self) -> dict[str, str | int]:
        """Return the macros for `attention.cuh`."""
        sizes = {"HEAD": self.head, "WARPS": self.warps, "ROWS": self.rows, "STEP": self.step}
        return {"GPUDL_TENSOR": int(self.tensor), **{f"GPUDL_{name}": size for name, size in sizes.items()}}


def candidates(head: int, itemsize: int, tensor: bool, steps: tuple[int, int]) -> list[Tile]:
    """Return the tiles for heads of `head` elements, the best first.

    Args:
        head: elements of a query, a key or a value.
        itemsize: bytes of an element.
        tensor: whether the GPU's tensor cores multiply such elements.
        steps: rows of the other operand for heads of up to 64 elements, without tensor cores and with them.
    """
    wide, double = max(power(head), _LEAST), itemsize == 8
    tensor = tensor and wide <= _WIDEST
    rows = _FRAGMENT if tensor else max(min(_RESULTS * WARP // wide // (2 if double else 1), _FRAGMENT), 4)
    step = steps[tensor] // (1 if wide <= 64 and not double else 2)
    return [Tile(wide, warps, rows, many, tensor) for warps in (4, 2, 1) for many in (step, 16)]


@dataclass(frozen=True)
class Inputs:
    """What every kernel of an attention reads: q (B, T, H, D), k (B, S, K, D), v (B, S, K, E).

    Args:
        q: queries.
        k: keys.
        v: values.
        out: an array of the shape of the result.
        mask: a mask that broadcasts to (B, H, T, S), or nothing.
    """

    q: Array
    k: Array
    v: Array
    out: Array
    mask: tuple[Array, ...]

    def fit(self, *arrays: Array) -> bool:
        """Accept C-contiguous arrays of one floating-point dtype that are not empty, here and in `arrays`."""
        given = (self.q, self.k, self.v, self.out, *arrays)
        whole = all(a.size > 0 for a in given) and contiguous(*given, *self.mask)
        return whole and len({a.dtype for a in given}) == 1 and real(self.q) is not None

    @property
    def index(self) -> tuple[str, type[np.integer]]:
        """The type of an index into any array, those of results included."""
        return index(self.q, self.k, self.v, self.out, *self.mask)

    def numbers(self, scale: float, causal: bool) -> tuple[Argument, ...]:
        """Return the mask, or an array that is not read, and the arguments for SIZES in `attention.cuh`."""
        (_, queries, heads, width), (keys, key_heads, value_width) = self.q.shape, self.v.shape[1:]
        strides = [0] * 4
        for mask in self.mask:
            steps = np.cumprod((1, *mask.shape[:0:-1]))[::-1]
            strides = [int(step) if n > 1 else 0 for n, step in zip(mask.shape, steps, strict=True)]
        sizes = map(np.int32, (queries, keys, heads, key_heads, width, value_width))
        last = (np.int32(len(self.mask)), np.int32(causal), sum_type(self.q.dtype)(scale))
        return (*(self.mask or (self.q,)), *sizes, *map(self.index[1], strides), *last)


@dataclass(frozen=True)
class Pass:
    """A kernel that goes over the tiles of an attention.

    Args:
        file: name of its `.cu` file.
        name: name of the kernel.
        tiles: how many tiles of its own rows, of the other operand's rows and of weights are in shared memory.
        steps: as `candidates` takes them: as many as there are registers for.
        of_keys: whether its own rows are keys, of which the two gradients have warps of their own.
    """

    file: str
    name: str
    tiles: tuple[int, int, int]
    steps: tuple[int, int]
    of_keys: bool = False

    def compiles(self, of: Inputs) -> bool:
        """Return whether there is a tile for such arrays, and the kernel compiles; their addresses are not used."""
        tile = self.tile(of)
        return tile is not None and self._kernel(of, tile, ()) is not None

    def start(self, of: Inputs, arrays: tuple[Array, ...], numbers: tuple[Argument, ...]) -> None:
        """Launch the kernel on `arrays`, the inputs among them, and `numbers`."""
        tile = self.tile(of)
        kernel = tile and self._kernel(of, tile, arrays)
        if not kernel or not tile:
            raise RuntimeError(f"{self.name} of {self.file} does not compile here; check `supports` first.")
        batch, tokens, heads = (of.k if self.of_keys else of.q).shape[:3]
        threads = WARP * tile.warps * (2 if self.of_keys else 1)
        room = tile.shared_bytes(self.tiles, int(of.q.dtype.itemsize))
        run(kernel, batch * heads * ceil(tokens / tile.own), threads, (*arrays, *numbers), room)

    def tile(self, of: Inputs) -> Tile | None:
        """Return the first tile that fits in the GPU's shared memory."""
        here, itemsize = card(), int(of.q.dtype.itemsize)
        head, tensor = max(of.q.shape[3], of.v.shape[3]), on_tensor_cores(of.q.dtype.name, here.capability)
        tiles = candidates(head, itemsize, tensor, self.steps) if head <= _MOST else []
        return next((tile for tile in tiles if tile.shared_bytes(self.tiles, itemsize) <= here.shared), None)

    def _kernel(self, of: Inputs, tile: Tile, arrays: tuple[Array, ...]) -> Kernel | None:
        """Return the kernel that copies as much at a time as the addresses of `arrays` allow."""
        itemsize = int(of.q.dtype.itemsize)
        limits = [of.q.shape[3] * itemsize, of.v.shape[3] * itemsize, *(int(a.data.ptr) for a in arrays)]
        sizes = [size for size in (*_BYTES, itemsize) if size >= itemsize]
        moved = next(size for size in sizes if not any(limit % size for limit in limits))
        given = {"GPUDL_REAL": real(of.q) or "", "GPUDL_INDEX": of.index[0], **tile.macros()}
        return function(self.file, self.name, **given, GPUDL_PACK=moved // itemsize)


FORWARD = Pass(FILE, "attention", (1, 2, 1), (64, 64))


def _supports(out: Array, lse: Array, q: Array, k: Array, v: Array, *mask: Array, scale: float, causal: bool) -> bool:
    of = Inputs(q, k, v, out, mask)
    return of.fit(lse) and FORWARD.compiles(of)


@accelerates("attention", device="cuda", supports=_supports)
def attention(out: Array, lse: Array, q: Array, k: Array, v: Array, *mask: Array, scale: float, causal: bool) -> None:
    """Compute softmax(scale * q @ k^T) @ v for each head, and the logarithm of the sum of the exponentials.

    q (B, T, H, D), k (B, S, K, D), v (B, S, K, E) -> out (B, T, H, E), lse (B, H, T).
    """
    of = Inputs(q, k, v, out, mask)
    FORWARD.start(of, (out, lse, q, k, v), of.numbers(scale, causal))
