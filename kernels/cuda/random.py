"""Random numbers and dropout as functions of a key on the device, bitwise equal to the ops' references.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Ints
from ..registry import accelerates
from .launch import Array, Kernel, contiguous, function, index, launch, real, run, width

_WORDS = 4  # words of a block, which one thread generates at a time


def _kernel(name: str, arrays: tuple[Array, ...], at_once: int = 1) -> Kernel | None:
    holds, counts = real(*arrays) or "FLOAT32", index(*arrays)[0]
    return function("random.cu", name, GPUDL_REAL=holds, GPUDL_INDEX=counts, GPUDL_WIDTH=at_once)


def _draw(name: str, reals: tuple[Array, ...], key: Array, *numbers: np.generic, items: int, at_once: int = 1) -> None:
    kernel = _kernel(name, reals, at_once)
    if kernel is None:
        raise RuntimeError(f"{name} of random.cu does not compile here; check `supports` first.")
    size = index(*reals)[1](reals[0].size)
    launch(kernel, items, (*reals, key, size, *numbers), _WORDS)


def _is_key(key: Array) -> bool:
    return bool(key.dtype == np.uint32) and key.shape == (4,) and bool(key.flags.c_contiguous)


def _supports_key(out: Array, key: Array, **static: object) -> bool:
    return bool(out.dtype == np.float32) and contiguous(out) and _is_key(key) and _kernel("dropout", (out,)) is not None


@accelerates("random_uniform", device="cuda", supports=_supports_key)
def random_uniform(out: Array, key: Array, *, shape: Ints) -> None:
    """Fill `out` with uniform numbers in [0, 1), multiples of 2**-24: key (4,) -> out `shape`."""
    _draw("random_uniform", (out,), key, items=out.size, at_once=min(width((out,)), _WORDS))


@accelerates("random_normal", device="cuda", supports=_supports_key)
def random_normal(out: Array, key: Array, *, shape: Ints) -> None:
    """Fill `out` with samples from the standard normal distribution: key (4,) -> out `shape`."""
    _draw("random_normal", (out,), key, items=-(-out.size // 2))


def _supports_dropout(y: Array, x: Array, key: Array, *, rate: float) -> bool:
    reals = (y, x)
    fits = y.shape == x.shape and real(*reals) is not None and y.dtype == x.dtype and contiguous(*reals)
    return fits and _is_key(key) and rate < 1 and _kernel("dropout", reals) is not None


@accelerates("dropout", device="cuda", supports=_supports_dropout)
def dropout(y: Array, x: Array, key: Array, *, rate: float) -> None:
    """Compute y = x / (1 - rate) where a uniform number is at least `rate`, else 0; x, y of one shape, key (4,).

    The same `key` gives the same mask, so that the backward pass can generate it again.
    """
    wide = np.float64 if x.dtype == np.float64 else np.float32
    scale = wide(1 / (1 - rate))
    _draw("dropout", (y, x), key, np.float32(rate), scale, items=x.size, at_once=min(width((y, x)), _WORDS))


def _supports_state(state: Array) -> bool:
    return _is_key(state) and _kernel("advance", ()) is not None


@accelerates("advance_", device="cuda", supports=_supports_state)
def advance_(state: Array) -> None:
    """Add 1 to the counter of draws, the last two words of the state (4,)."""
    kernel = _kernel("advance", ())
    if kernel is None:
        raise RuntimeError("advance of random.cu does not compile here; check `supports` first.")
    run(kernel, 1, 1, (state,))
