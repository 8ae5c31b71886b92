"""Counter-based random numbers: functions of key and position, bitwise the same for any number of threads and on GPUs.

Philox4x32-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011. A key is
uint32[4] = (k0, k1, step_lo, step_hi). Element e is word e % 4 of the block whose counter is
(e // 4 low, e // 4 high, step_lo, step_hi) under the Philox key (k0, k1).
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from ..geometry import Ints
from ..registry import accelerates, floats
from .machine.prebound import ParallelLoop, share
from .machine.threads import inner

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_ONE, _TWO, _THREE, _FOUR = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
_HALF = np.uint64(32)
Word = np.uint32
Real = np.float32 | np.float64
_BLOCKS = 1024


@inner
def philox(c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word) -> tuple[Word, Word, Word, Word]:
    """Return four random uint32 words for a counter of four and a key of two uint32 words."""
    for _ in range(10):
        p0, p1 = _M0 * np.uint64(c0), _M1 * np.uint64(c2)
        c0, c2 = np.uint32(p1 >> _HALF) ^ c1 ^ k0, np.uint32(p0 >> _HALF) ^ c3 ^ k1
        c1, c3 = np.uint32(p1), np.uint32(p0)
        k0, k1 = np.uint32(k0 + _W0), np.uint32(k1 + _W1)
    return np.uint32(c0), c1, np.uint32(c2), c3


@inner
def _unit(word: Word) -> np.float32:
    # The upper 24 bits, as many as a float32 holds, in [0, 1).
    return np.float32(np.int32(word >> np.uint32(8))) * np.float32(2**-24)


def _keyed(*arrays: ndarray, **static: object) -> bool:
    key = arrays[-1]
    return floats(*arrays) and key.dtype == np.uint32 and key.shape == (4,)


@ParallelLoop
def _random_uniform(worker, workers, out, key):  # type: ignore[no-untyped-def]
    k0, k1, low, high = key[0], key[1], key[2], key[3]
    whole = out.size // 4
    for chunk in share((whole + _BLOCKS - 1) // _BLOCKS, worker, workers):
        for i in range(np.uintp(chunk * _BLOCKS), np.uintp(min((chunk + 1) * _BLOCKS, whole))):
            u0, u1, u2, u3 = philox(np.uint32(i), np.uint32(i >> _HALF), low, high, k0, k1)
            e = i * _FOUR
            out[e] = _unit(u0)
            out[e + _ONE] = _unit(u1)
            out[e + _TWO] = _unit(u2)
            out[e + _THREE] = _unit(u3)
    if worker == 0:
        rest = philox(np.uint32(whole), np.uint32(whole >> 32), low, high, k0, k1)
        for k in range(4 * whole, out.size):
            out[k] = _unit(rest[k % 4])


@accelerates("random_uniform", device="cpu", supports=_keyed)
def random_uniform(out: ndarray, key: ndarray, *, shape: Ints) -> None:
    """Fill `out` with uniform numbers in [0, 1), multiples of 2**-24: key (4,) -> out `shape`.

    Example:
        >>> out = np.empty(3)
        >>> random_uniform(out, np.zeros(4, np.uint32), shape=(3,))
        >>> out.round(2)
        array([0.4 , 0.88, 0.74])
    """
    _random_uniform(out.size << 1, out.reshape(-1), key)


@inner
def _drop(x: Real, word: Word, rate: np.float32, scale: Real, zero: Real) -> Real:
    return x * scale if _unit(word) >= rate else zero


@ParallelLoop
def _dropout(worker, workers, y, x, key, rate):  # type: ignore[no-untyped-def]
    k0, k1, low, high = key[0], key[1], key[2], key[3]
    least, scale, zero = np.float32(rate), y.dtype.type(1 / (1 - rate)), y.dtype.type(0)
    whole = y.size // 4
    for chunk in share((whole + _BLOCKS - 1) // _BLOCKS, worker, workers):
        for i in range(np.uintp(chunk * _BLOCKS), np.uintp(min((chunk + 1) * _BLOCKS, whole))):
            u0, u1, u2, u3 = philox(np.uint32(i), np.uint32(i >> _HALF), low, high, k0, k1)
            e = i * _FOUR
            y[e] = _drop(x[e], u0, least, scale, zero)
            y[e + _ONE] = _drop(x[e + _ONE], u1, least, scale, zero)
            y[e + _TWO] = _drop(x[e + _TWO], u2, least, scale, zero)
            y[e + _THREE] = _drop(x[e + _THREE], u3, least, scale, zero)
    if worker == 0:
        rest = philox(np.uint32(whole), np.uint32(whole >> 32), low, high, k0, k1)
        for k in range(4 * whole, y.size):
            y[k] = _drop(x[k], rest[k % 4], least, scale, zero)


@accelerates("dropout", device="cpu", supports=_keyed)
def dropout(y: ndarray, x: ndarray, key: ndarray, *, rate: float) -> None:
    """Compute y = x / (1 - rate) where a uniform number is at least `rate`, else 0; x, y of one shape, key (4,).

    The same `key` gives the same mask, so that the backward pass can generate it again.
    """
    _dropout(y.size << 1, y.reshape(-1), x.reshape(-1), key, rate)
