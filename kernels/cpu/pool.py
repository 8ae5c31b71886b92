"""Pooling over windows of channels-last images, and its gradients."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from .. import team
from ..geometry import Ints, Window
from ..registry import accelerates, is_floating
from .machine.layout import pooling
from .machine.memory import clear, copy
from .machine.prebound import ParallelLoop, share
from .machine.scratch import NO_FLOATS, scratch
from .machine.threads import inner
from .machine.tile import address
from .machine.window_ranges import images, inside, readers, slide, source
from .machine.windows import largest, spread


def whole_windows(*arrays: ndarray, window: Window, size: Ints) -> bool:
    """Accept float32 images without padding, so that every window has all its taps."""
    reals = [a for a in arrays if is_floating(a.dtype)]
    inside_all = len(window.kernel) == 2 and not any(p for pair in window.pads(size) for p in pair)
    return inside_all and all(a.dtype == np.float32 for a in reals) and all(a.flags.c_contiguous for a in arrays)


def side_by_side(*arrays: ndarray, window: Window, size: Ints) -> bool:
    """Accept `whole_windows` that do not overlap."""
    apart = all(s > (k - 1) * d for s, k, d in zip(window.strides, window.kernel, window.dilation, strict=True))
    return apart and whole_windows(*arrays, window=window, size=size)


def _whole(y: ndarray, argmax: ndarray, x: ndarray, *, window: Window) -> bool:
    return argmax.dtype == np.uint8 and whole_windows(y, argmax, x, window=window, size=x.shape[1:3])


@ParallelLoop
def _max_of_whole(worker, workers, y, tap, x, pool):  # type: ignore[no-untyped-def]
    n, h, w, c = x.shape
    for r in share(n * pool.oh, worker, workers):
        window, at = address(x) + 4 * (r // pool.oh * h + r % pool.oh * pool.sh) * w * c, r * pool.ow * c
        y_at, tap_at = address(y) + 4 * at, address(tap) + at
        largest(window, pool.sw * c, pool.ow, address(pool.offsets), pool.taps, y_at, tap_at, c)


@accelerates("max_pool", device="cpu", supports=_whole)
def max_pool_whole(y: ndarray, argmax: ndarray, x: ndarray, *, window: Window) -> None:
    """Compute `max_pool` in vector instructions, for float32 and windows without padding."""
    pool = pooling(window, tuple(x.shape[1:3]), x.shape[3])
    _max_of_whole(x.size, y.reshape(-1), argmax.reshape(-1), x, pool)


def _apart(dx: ndarray, g: ndarray, argmax: ndarray, *, shape: Ints, window: Window) -> bool:
    return argmax.dtype == np.uint8 and side_by_side(dx, g, argmax, window=window, size=tuple(shape[1:3]))


@ParallelLoop
def _spread_all(worker, workers, dx, g, tap, y, shape, pool):  # type: ignore[no-untyped-def]
    n, h, w, c = shape
    for image in share(n, worker, workers):
        if pool.gaps:
            clear(dx, image * h * w * c, h * w * c)
        for i in range(pool.oh):
            at = (image * pool.oh + i) * pool.ow * c
            window = address(dx) + 4 * (image * h + i * pool.sh) * w * c
            after = address(y) + 4 * at if len(y) else 0
            g_at, tap_at = address(g) + 4 * at, address(tap) + at
            spread(window, pool.sw * c, pool.ow, address(pool.offsets), pool.taps, g_at, tap_at, after, c)


def scatter_maxima(dx: ndarray, g: ndarray, argmax: ndarray, y: ndarray, window: Window) -> None:
    """Compute `max_pool_grad` for windows without overlap; with `y`, maxima after a ReLU, the gradient of both."""
    pool = pooling(window, tuple(dx.shape[1:3]), dx.shape[3])
    _spread_all(dx.size, dx.reshape(-1), g.reshape(-1), argmax.reshape(-1), y.reshape(-1), dx.shape, pool)


@accelerates("max_pool_grad", device="cpu", supports=_apart)
def max_pool_grad_whole(dx: ndarray, g: ndarray, argmax: ndarray, *, shape: Ints, window: Window) -> None:
    """Compute `max_pool_grad` in vector instructions, for float32 and windows without overlap."""
    scatter_maxima(dx, g, argmax, NO_FLOATS, window)


@inner
def _first(y: ndarray, tap: ndarray, at: int, x: ndarray, first: int, count: int, index: int) -> None:
    copy(y, at, x, first, count)
    base = np.uintp(at)
    for k in range(np.uintp(count)):
        tap[base + k] = index


@inner
def _larger(y: ndarray, tap: ndarray, at: int, x: ndarray, first: int, count: int, index: int) -> None:
    t, s = np.uintp(at), np.uintp(first)
    for k in range(np.uintp(count)):
        best, new = y[t + k], x[s + k]
        wins = (best == best) & (not new <= best)  # a NaN is larger than any number, and the first NaN stays
        y[t + k] = new if wins else best
        tap[t + k] = index if wins else tap[t + k]


@ParallelLoop
def _max_pool(worker, workers, y, tap, x, s):  # type: ignore[no-untyped-def]
    for r in share(s.n * s.oh, worker, workers):
        sample, y0 = r // s.oh, r % s.oh * s.sh - s.top
        above, below = inside(y0, s.dh, s.kh, s.h)
        for j in range(s.ow):
            x0 = j * s.sw - s.left
            low, high = inside(x0, s.dw, s.kw, s.w)
            at = (r * s.ow + j) * s.c
            if above == below or low == high:  # no tap of a dilated window may fall on the input
                for k in range(at, at + s.c):
                    y[k] = -np.inf
                    tap[k] = 0
            for a in range(above, below):
                for b in range(low, high):
                    pixel = ((sample * s.h + y0 + a * s.dh) * s.w + x0 + b * s.dw) * s.c
                    if a == above and b == low:
                        _first(y, tap, at, x, pixel, s.c, a * s.kw + b)
                    else:
                        _larger(y, tap, at, x, pixel, s.c, a * s.kw + b)


@accelerates("max_pool", device="cpu", supports=images)
def max_pool(y: ndarray, argmax: ndarray, x: ndarray, *, window: Window) -> None:
    """Take the maximum of each window and its first tap: x (N, H, W, C) -> y, argmax (N, OH, OW, C).

    `argmax` numbers taps in row-major order. A NaN counts as the maximum, padding never does,
    and a window entirely in the padding gives -inf and tap 0.

    Example:
        >>> x = np.array([1.0, 5.0, 7.0, 3.0]).reshape(1, 1, 4, 1)
        >>> y, argmax = np.empty((1, 1, 2, 1)), np.empty((1, 1, 2, 1), np.uint8)
        >>> max_pool(y, argmax, x, window=Window((1, 2), (1, 2)))
        >>> y.ravel(), argmax.ravel()
        (array([5., 7.]), array([1, 0], dtype=uint8))
    """
    _max_pool(x.size, y.reshape(-1), argmax.reshape(-1), x.reshape(-1), slide(window, x.shape))


@inner
def _pass_on(x: ndarray, to: int, g: ndarray, tap: ndarray, at: int, count: int, index: int) -> None:
    t, s = np.uintp(to), np.uintp(at)
    for k in range(np.uintp(count)):
        x[t + k] += g[s + k] if tap[s + k] == index else x.dtype.type(0)


@inner
def _put(x: ndarray, to: int, g: ndarray, tap: ndarray, at: int, count: int, index: int) -> None:
    t, s = np.uintp(to), np.uintp(at)
    for k in range(np.uintp(count)):
        x[t + k] = g[s + k] if tap[s + k] == index else x.dtype.type(0)


@ParallelLoop
def _max_pool_grad(worker, workers, x, g, tap, s):  # type: ignore[no-untyped-def]
    # x (N, H, W, C) is gathered row by row from g, tap (N, OH, OW, C)
    apart = s.sh > (s.kh - 1) * s.dh and s.sw > (s.kw - 1) * s.dw
    for r in share(s.n * s.h, worker, workers):
        sample, y = r // s.h, r % s.h
        clear(x, r * s.w * s.c, s.w * s.c)
        for a in range(s.kh):
            i = source(y + s.top - a * s.dh, s.sh, s.oh)
            if i < 0:
                continue
            for back in range(s.ow):
                j = s.ow - 1 - back
                low, high = inside(j * s.sw - s.left, s.dw, s.kw, s.w)
                at = ((sample * s.oh + i) * s.ow + j) * s.c
                for b in range(low, high):
                    to = (r * s.w + j * s.sw - s.left + b * s.dw) * s.c
                    if apart:
                        _put(x, to, g, tap, at, s.c, a * s.kw + b)
                    else:
                        _pass_on(x, to, g, tap, at, s.c, a * s.kw + b)


@accelerates("max_pool_grad", device="cpu", supports=images)
def max_pool_grad(dx: ndarray, g: ndarray, argmax: ndarray, *, shape: Ints, window: Window) -> None:
    """Add the gradient of each maximum to the pixel that it came from: g, argmax (N, OH, OW, C) -> dx `shape`."""
    _max_pool_grad(dx.size, dx.reshape(-1), g.reshape(-1), argmax.reshape(-1), slide(window, tuple(shape)))


@ParallelLoop
def _max_pool_pick(worker, workers, y, x, tap, s):  # type: ignore[no-untyped-def]
    for r in share(s.n * s.oh, worker, workers):
        sample, y0 = r // s.oh, r % s.oh * s.sh - s.top
        for j in range(s.ow):
            for k in range((r * s.ow + j) * s.c, (r * s.ow + j + 1) * s.c):
                a, b = tap[k] // s.kw, tap[k] % s.kw
                row, column = y0 + a * s.dh, j * s.sw - s.left + b * s.dw
                inner_pixel = 0 <= row < s.h and 0 <= column < s.w
                y[k] = x[((sample * s.h + row) * s.w + column) * s.c + k % s.c] if inner_pixel else 0


@accelerates("max_pool_pick", device="cpu", supports=images)
def max_pool_pick(y: ndarray, x: ndarray, argmax: ndarray, *, window: Window) -> None:
    """Gather the elements of `x` that `argmax` points at: x (N, H, W, C) -> y (N, OH, OW, C).

    The result of a window entirely in the padding is 0.
    """
    _max_pool_pick(y.size, y.reshape(-1), x.reshape(-1), argmax.reshape(-1), slide(window, x.shape))


@inner
def _add_taps(line: ndarray, x: ndarray, first: int, taps: int, apart: int) -> None:
    for b in range(taps):
        base = np.uintp(first + b * apart)
        for k in range(np.uintp(len(line))):
            line[k] += x[base + k]


@ParallelLoop
def _avg_pool(worker, workers, thread, y, x, sums, s):  # type: ignore[no-untyped-def]
    # sums: (C,) of float64 per thread
    line = sums[thread]
    for r in share(s.n * s.oh, worker, workers):
        sample, y0 = r // s.oh, r % s.oh * s.sh - s.top
        above, below = inside(y0, s.dh, s.kh, s.h)
        for j in range(s.ow):
            x0 = j * s.sw - s.left
            low, high = inside(x0, s.dw, s.kw, s.w)
            at, line[:] = (r * s.ow + j) * s.c, 0
            for a in range(above, below):
                first = ((sample * s.h + y0 + a * s.dh) * s.w + x0 + low * s.dw) * s.c
                _add_taps(line, x, first, high - low, s.dw * s.c)
            count = float(max((below - above) * (high - low), 1))
            base = np.uintp(at)
            for k in range(np.uintp(s.c)):
                y[base + k] = line[k] / count


@accelerates("avg_pool", device="cpu", supports=images)
def avg_pool(y: ndarray, x: ndarray, *, window: Window) -> None:
    """Take the mean of each window over its taps inside the input: x (N, H, W, C) -> y (N, OH, OW, C)."""
    sums = scratch(team.size(), x.shape[3], dtype=np.float64)
    _avg_pool(x.size, y.reshape(-1), x.reshape(-1), sums, slide(window, x.shape))


@inner
def _add_share(line: ndarray, to: int, g: ndarray, at: int, count: int, share: int) -> None:
    t, s, d = np.uintp(to), np.uintp(at), g.dtype.type(share)
    for k in range(np.uintp(count)):
        line[t + k] += g[s + k] / d


@ParallelLoop
def _avg_pool_grad(worker, workers, thread, x, g, sums, s):  # type: ignore[no-untyped-def]
    # sums: (W * C,) per thread
    line = sums[thread]
    for r in share(s.n * s.h, worker, workers):
        sample, y = r // s.h, r % s.h
        line[:] = 0
        start, stop = readers(y + s.top, s.kh, s.sh, s.dh, s.oh)
        for i in range(stop - 1, start - 1, -1):
            if (y + s.top - i * s.sh) % s.dh != 0:
                continue
            above, below = inside(i * s.sh - s.top, s.dh, s.kh, s.h)
            for back in range(s.ow):
                j = s.ow - 1 - back
                x0 = j * s.sw - s.left
                low, high = inside(x0, s.dw, s.kw, s.w)
                at = ((sample * s.oh + i) * s.ow + j) * s.c
                for b in range(low, high):
                    _add_share(line, (x0 + b * s.dw) * s.c, g, at, s.c, (below - above) * (high - low))
        base = np.uintp(r * s.w * s.c)
        for k in range(np.uintp(s.w * s.c)):
            x[base + k] = line[k]


_FEW = 16  # terms of a sum that need no float64


@accelerates("avg_pool_grad", device="cpu", supports=images)
def avg_pool_grad(dx: ndarray, g: ndarray, *, shape: Ints, window: Window) -> None:
    """Distribute each gradient evenly over the pixels of its window: g (N, OH, OW, C) -> dx `shape`."""
    most = prod(-(-k // s) for k, s in zip(window.kernel, window.strides, strict=True))
    sums = scratch(team.size(), shape[2] * shape[3], dtype=dx.dtype if most <= _FEW else np.float64)
    _avg_pool_grad(dx.size, dx.reshape(-1), g.reshape(-1), sums, slide(window, tuple(shape)))
