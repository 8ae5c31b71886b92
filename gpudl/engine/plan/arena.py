"""Packing buffers into one arena by their lifetimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 512  # bytes: that of CuPy's pool, and more than any CPU needs


@dataclass
class Block:
    """A buffer of `nbytes` that is alive from instruction `start` to instruction `end`, both included."""

    nbytes: int
    start: int
    end: int
    offset: int = -1


def pack(blocks: Sequence[Block]) -> int:
    """Assign offsets so that no two blocks that are alive at the same time overlap; return the arena's size in bytes.

    Largest first, each at the lowest offset that fits (greedy by size: Pisarchyk and Lee, 2020,
    "Efficient Memory Management for Deep Neural Net Inference").

    Example:
        >>> first, second, third = Block(512, 0, 1), Block(512, 1, 2), Block(512, 2, 3)
        >>> pack([first, second, third])
        1024
        >>> third.offset == first.offset
        True
    """
    # The blocks that have been placed, by offset: their begin and end, in bytes and in instructions.
    placed = np.zeros((4, len(blocks)), np.int64)
    for count, block in enumerate(sorted(blocks, key=lambda b: (-b.nbytes, b.start))):
        begins, ends, first, last = placed[:, :count]
        alive = (first <= block.end) & (last >= block.start)
        below = np.concatenate(([0], np.maximum.accumulate(ends[alive])))
        gaps = np.flatnonzero(below[:-1] + padded(block.nbytes) <= begins[alive])
        block.offset = int(below[gaps[0] if gaps.size else -1])
        at = int(np.searchsorted(begins, block.offset))
        placed[:, at + 1 : count + 1] = placed[:, at:count].copy()
        placed[:, at] = block.offset, block.offset + padded(block.nbytes), block.start, block.end
    return int(placed[1].max(initial=0))


def padded(nbytes: int) -> int:
    """Return `nbytes` rounded up to a multiple of the alignment."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
