"""Index arithmetic of windows inside kernels: ranges of taps, ranges of outputs, and the inverse mapping."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...geometry import Ints, Window
from ...registry import floats
from .threads import inner

AXES = 2


class Slide(NamedTuple):
    """A window that slides over images: sizes and steps along their axes.

    Attributes:
        n, h, w, c: images, their rows, columns and channels.
        kh, kw: rows and columns of the window.
        sh, sw: strides.
        dh, dw: dilation.
        top, left: padding before the first row and column.
        oh, ow: rows and columns of the output.
    """

    n: int
    h: int
    w: int
    c: int
    kh: int
    kw: int
    sh: int
    sw: int
    dh: int
    dw: int
    top: int
    left: int
    oh: int
    ow: int


@lru_cache(maxsize=1024)
def slide(window: Window, shape: Ints) -> Slide:
    """Return how `window` slides over images of `shape` (N, H, W, C)."""
    (n, h, w, c), (kh, kw), (sh, sw), (dh, dw) = shape, window.kernel, window.strides, window.dilation
    (top, _), (left, _) = window.pads((h, w))
    oh, ow = window.output((h, w))
    return Slide(n, h, w, c, kh, kw, sh, sw, dh, dw, top, left, oh, ow)


def images(*arrays: np.ndarray, window: Window, **static: object) -> bool:
    """Accept `floats` under a window over two axes."""
    return floats(*arrays) and len(window.kernel) == AXES


@inner
def inside(start: int, step: int, taps: int, size: int) -> tuple[int, int]:
    """Return the range of taps for which 0 <= start + tap * step < size."""
    low = 0 if start >= 0 else min((step - 1 - start) // step, taps)
    high = taps if start + (taps - 1) * step < size else (size - 1 - start) // step + 1
    return low, max(low, high)


@inner
def interior(taps: int, stride: int, step: int, before: int, size: int, outputs: int) -> tuple[int, int]:
    """Return the range of output positions whose window is entirely inside the input."""
    low = min((before + stride - 1) // stride, outputs)
    high = (size + before - (taps - 1) * step - 1) // stride + 1
    return low, max(low, min(high, outputs))


@inner
def source(y: int, stride: int, outputs: int) -> int:
    """Return the output position whose window begins at `y` of the padded input, or -1 if there is none."""
    i = y // stride
    return i if y >= 0 and i * stride == y and i < outputs else -1


@inner
def readers(y: int, taps: int, stride: int, step: int, outputs: int) -> tuple[int, int]:
    """Return the range of output positions whose window reaches over `y` of the padded input.

    With a dilation (`step`) some of them may have no tap at `y` itself.
    """
    reach = y - (taps - 1) * step
    return max(0, (reach + stride - 1) // stride), min(outputs, y // stride + 1)
