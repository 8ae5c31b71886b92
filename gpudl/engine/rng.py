"""Philox4x32-10: random bits as a function of a key and a counter, the same on every device.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gpudl.backend import Array

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox(xp: ModuleType, key: Array, size: int) -> Array:
    """Return `size` random 32-bit words, as uint64.

    Args:
        xp: the array module.
        key: uint32 (4,): two words of key, then the low and the high word of the draw's index. Word
            ``i % 4`` of block ``i // 4`` is element i; the block's counter is (block, 0, low, high).
        size: number of words.
    """
    words = key.astype(np.uint64)
    k0, k1 = words[0], words[1]
    block = xp.arange(-(-size // 4), dtype=np.uint64)
    c0, c1 = block & _LOW, block >> _SHIFT
    c2, c3 = words[2] + xp.zeros_like(block), words[3] + xp.zeros_like(block)
    for _ in range(_ROUNDS):
        left, right = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1 = (right >> _SHIFT) ^ c1 ^ k0, right & _LOW
        c2, c3 = (left >> _SHIFT) ^ c3 ^ k1, left & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return xp.stack((c0, c1, c2, c3), axis=-1).reshape(-1)[:size]


def uniform(xp: ModuleType, key: Array, size: int) -> Array:
    """Return `size` float32 numbers in [0, 1), multiples of 2**-24."""
    return (philox(xp, key, size) >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)
