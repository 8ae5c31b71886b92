"""Packing buffers into one arena by their lifetimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 512  # bytes: what CuPy's pool gives, and more than any CPU asks


@dataclass
class Block:
    """A buffer of `nbytes` that is alive from instruction `start` to instruction `end`, both included."""

    nbytes: int
    start: int
    end: int
    offset: int = -1


def pack(blocks: Sequence[Block]) -> int:
    """Give every block an offset so that no two blocks alive together overlap; return the arena's size.

    Largest first, each at the lowest offset that fits (greedy by size: Pisarchyk and Lee, 2020,
    "Efficient Memory Management for Deep Neural Net Inference").

    Example:
        >>> first, second, third = Block(512, 0, 1), Block(512, 1, 2), Block(512, 2, 3)
        >>> pack([first, second, third])
        1024
        >>> third.offset == first.offset
        True
    """
    placed: list[Block] = []
    for block in sorted(blocks, key=lambda b: (-b.nbytes, b.start)):
        offset = 0
        alive = (p for p in placed if p.start <= block.end and block.start <= p.end)
        for other in sorted(alive, key=lambda p: p.offset):
            if offset + _padded(block.nbytes) <= other.offset:
                break
            offset = max(offset, other.offset + _padded(other.nbytes))
        block.offset = offset
        placed.append(block)
    return max((b.offset + _padded(b.nbytes) for b in placed), default=0)


def _padded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
