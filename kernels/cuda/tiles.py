"""The choice of a product's tile size, and of the number of blocks that split its sums, from shapes and the GPU.

The cost of a choice is estimated in cycles of one multiprocessor, with the constants below. They are published rates
of sm_80 and sm_90, not measured: they rank the choices, and do not predict times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

_LANES = 128  # multiply-adds of float32 per cycle
_TENSOR_RATE = {2: 1024, 4: 512}  # multiply-adds per cycle, by bytes of an element
_SHARED_RATE = 128  # bytes from shared memory per cycle
_LATENCY = 800  # cycles from the load of a step's elements to their arrival
_START = 1500  # cycles of a block for its first loads and its last stores
_SECOND_KERNEL = 3000
_PARTIAL_RATE = 1000  # bytes of partial sums per cycle that all multiprocessors write and read again
_REGISTERS = 65536  # registers of a multiprocessor
_OF_A_THREAD = 128  # registers of a thread at most
_SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_BIG = 2**27


@dataclass(frozen=True)
class Tile:
    """The tile that a block computes, and its parameters, see `tile.cuh`.

    Args:
        m: number of rows.
        n: number of columns.
        k: terms of each sum in one step.
        part_m: rows that a warp (with tensor cores) or a thread (without) computes.
        part_n: columns likewise.
        stages: steps that are in shared memory at a time.
        tensor: whether tensor cores are used.
    """

    m: int
    n: int
    k: int
    part_m: int
    part_n: int
    stages: int = 2
    tensor: bool = False

    @property
    def threads(self) -> int:
        """Number of threads of a block."""
        return self.m // self.part_m * (self.n // self.part_n) * (32 if self.tensor else 1)

    def macros(self) -> dict[str, int]:
        """Return the macros for `tile.cuh`."""
        return {
            "GPUDL_TENSOR": int(self.tensor),
            "GPUDL_TILE_M": self.m,
            "GPUDL_TILE_N": self.n,
            "GPUDL_TILE_K": self.k,
            "GPUDL_PART_M": self.part_m,
            "GPUDL_PART_N": self.part_n,
            "GPUDL_STAGES": self.stages,
        }

    def shared_bytes(self, itemsize: int, a_along: bool, b_along: bool) -> int:
        """Return the dynamic shared memory of a block, in bytes; `along` is whether an operand's lines run along k."""
        if not self.tensor:
            return 0
        unit = 16 // itemsize
        sizes = [
            lines * (self.k + unit) if along else self.k * (lines + 8)
            for lines, along in ((self.m, a_along), (self.n, b_along))
        ]
        return self.stages * sum(sizes) * itemsize

    def cycles(self, itemsize: int) -> float:
        """Return the cycles of a multiprocessor for one step of one block, without any latency."""
        products = self.m * self.n * self.k
        if self.tensor:
            read = products * itemsize * (1 / self.part_m + 1 / self.part_n)
            return max(products / _TENSOR_RATE[itemsize], read / _SHARED_RATE)
        near = 16 // max(itemsize, 4)
        reads = -(-self.part_m // near) + -(-self.part_n // near)
        slower = 2 if itemsize == 8 else 1
        return slower * self.threads * self.k * (self.part_m * self.part_n + 2 * reads) / _LANES


def _tensor(k: int) -> tuple[Tile, ...]:
    return (
        Tile(128, 128, k, 64, 32, 3, True),
        Tile(128, 64, k, 64, 32, 3, True),
        Tile(64, 64, k, 32, 32, 3, True),
        Tile(128, 32, k, 32, 32, 3, True),
        Tile(32, 32, k, 16, 16, 4, True),
        Tile(128, 32, 16, 32, 32, 2, True),  # for the few terms of a first layer
    )


_TENSOR_TILES = {2: _tensor(64), 4: _tensor(32)}  # lines of 128 bytes along k
_SINGLE = (Tile(128, 128, 8, 8, 8), Tile(64, 64, 16, 8, 4), Tile(128, 32, 16, 8, 4), Tile(32, 32, 32, 4, 2))
_DOUBLE = (Tile(64, 64, 8, 4, 4), Tile(32, 32, 16, 4, 2))


def candidates(itemsize: int, tensor: bool) -> tuple[Tile, ...]:
    """Return the tiles for elements of `itemsize` bytes, on tensor cores or without."""
    if tensor:
        return _TENSOR_TILES[itemsize]
    return _DOUBLE if itemsize == 8 else _SINGLE


@dataclass(frozen=True)
class Card:
    """The properties of a GPU that the choice depends on.

    Args:
        capability: its compute capability, 90 for 9.0.
        multiprocessors: number of multiprocessors.
        shared: shared memory that a block can have, in bytes.
    """

    capability: int
    multiprocessors: int
    shared: int


@dataclass(frozen=True)
class Sums:
    """The size of a product: M x N sums of K terms each, `classes` times.

    Args:
        m: rows of the left operand.
        n: columns of the right operand.
        k: terms of a sum.
        a_along: whether the left operand is contiguous along k.
        b_along: whether the right operand is contiguous along k.
        classes: number of such products.
    """

    m: int
    n: int
    k: int
    a_along: bool
    b_along: bool
    classes: int = 1

    @property
    def is_big(self) -> bool:
        """Return whether it has enough tiles of the usual size for a whole GPU, with rows aligned as cuBLAS prefers.

        Up to 2**27 multiply-adds, eight tiles of 128 x 128 x 1024, there is too little work for a GPU of a hundred
        multiprocessors: then small tiles and split sums are faster.
        """
        return self.m * self.n * self.k > _BIG and self.n % 8 == 0 and self.k % 8 == 0


@lru_cache(maxsize=4096)
def choose(sums: Sums, itemsize: int, tensor: bool, card: Card) -> tuple[Tile, int]:
    """Return the tile, and the number of parts into which each sum is split, that are estimated to be fastest.

    Example:
        >>> h100 = Card(90, 132, 227 << 10)
        >>> choose(Sums(256 * 56 * 56, 64, 576, True, False), 2, True, h100)[0].n
        64
        >>> choose(Sums(64, 64, 576, True, False), 4, False, h100)[1] > 1
        True
    """
    room = [
        t for t in candidates(itemsize, tensor) if t.shared_bytes(itemsize, sums.a_along, sums.b_along) <= card.shared
    ]
    ways = [(tile, splits) for tile in room for splits in _SPLITS if splits <= max(ceil(sums.k / tile.k), 1)]
    return min(ways, key=lambda way: _cost(way[0], way[1], sums, itemsize, card))


def _cost(tile: Tile, splits: int, sums: Sums, itemsize: int, card: Card) -> float:
    blocks = ceil(sums.m / tile.m) * ceil(sums.n / tile.n) * sums.classes * splits
    steps = ceil(max(ceil(sums.k / tile.k), 1) / splits)
    needed = tile.shared_bytes(itemsize, sums.a_along, sums.b_along)
    fit = _REGISTERS // (_OF_A_THREAD * tile.threads)
    if needed:
        fit = max(1, min(fit, card.shared // needed))
    each = max(1, ceil(blocks / card.multiprocessors))  # at least 1, for empty products
    together = min(each, fit)
    step = together * tile.cycles(itemsize)
    waiting = (steps - 1) * _LATENCY / (tile.stages - 1) + step  # if only the latency of loads counts
    cost = ceil(each / together) * (_START + max(steps * step, waiting))
    if splits > 1:
        cost += _SECOND_KERNEL + splits * sums.m * sums.n * sums.classes * max(itemsize, 4) / _PARTIAL_RATE
    return cost
