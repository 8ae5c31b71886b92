"""What training with a loss scale does after an update: the twins of `loss_scale.cu`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import accelerates
from .launch import Kernel, contiguous, function, index, launch, real, run, width

_MOVED = {2: "FLOAT16", 4: "FLOAT32", 8: "FLOAT64"}  # a move keeps the bits, whatever they mean


def _kernel(name: str, array: Any, holds: str, at_once: int = 1) -> Kernel | None:
    return function("loss_scale.cu", name, GPUDL_REAL=holds, GPUDL_INDEX=index(array)[0], GPUDL_WIDTH=at_once)


def _takes_restore(target: Any, before: Any, keep: Any) -> bool:
    fits = target.dtype == before.dtype and target.shape == before.shape and target.dtype.itemsize in _MOVED
    return fits and contiguous(target, before) and _kernel("restore", target, _MOVED[target.dtype.itemsize]) is not None


@accelerates("restore_", device="cuda", takes=_takes_restore)
def restore_(target: Any, before: Any, keep: Any) -> None:
    """Set target (...) back to its value of before, unless `keep`, () bool."""
    at_once = width((target, before))
    kernel = _kernel("restore", target, _MOVED[target.dtype.itemsize], at_once)
    if kernel is None:
        raise RuntimeError("restore of loss_scale.cu does not compile here; ask first whether it takes the arrays.")
    launch(kernel, target.size, (target, before, keep, index(target)[1](target.size)), at_once)


def _takes_rescale(scale: Any, good: Any, finite: Any, **static: Any) -> bool:
    return real(scale) is not None and _kernel("rescale", scale, real(scale) or "") is not None


@accelerates("rescale_", device="cuda", takes=_takes_rescale)
def rescale_(scale: Any, good: Any, finite: Any, *, growth_steps: int) -> None:
    """Double a loss scale () after so many finite steps, halve it after one that was not; `good` () int64 counts."""
    kernel = _kernel("rescale", scale, real(scale) or "")
    if kernel is None:
        raise RuntimeError("rescale of loss_scale.cu does not compile here; ask first whether it takes the arrays.")
    run(kernel, 1, 1, (scale, good, finite, np.int64(growth_steps)))
