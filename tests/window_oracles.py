"""im2col, pooling and their adjoints the slow way: loops over outputs and taps, from definitions alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from gpudl.kernels.geometry import Window


@dataclass(frozen=True)
class Axis:
    """One spatial axis of `size` positions: `taps[o]` lists output `o`'s (tap, position) inside it."""

    size: int
    kernel: int
    stride: int
    dilation: int
    padding: str | tuple[int, int]

    @property
    def before(self) -> int:
        if isinstance(self.padding, tuple):
            return self.padding[0]
        if self.padding == "valid":
            return 0
        last = (-(-self.size // self.stride) - 1) * self.stride + (self.kernel - 1) * self.dilation
        return max(last + 1 - self.size, 0) // 2

    @cached_property
    def taps(self) -> list[list[tuple[int, int]]]:
        found = []
        outputs = range(0, self.size, self.stride)
        if self.padding != "same":
            size = self.size + (sum(self.padding) if isinstance(self.padding, tuple) else 0)
            outputs = range(0, size - (self.kernel - 1) * self.dilation, self.stride)
        for start in outputs:
            positions = ((a, start - self.before + a * self.dilation) for a in range(self.kernel))
            found.append([(a, p) for a, p in positions if 0 <= p < self.size])
        return found


@dataclass
class Problem:
    """Random arrays for a window over images of `shape`, and what each kernel makes of them, bit for bit.

    Sums are taken in the order of the taps, in float64; those of `col2im`, as long as a window, in float32 for float16.
    """

    shape: tuple[int, int, int, int]
    window: Window
    dtype: Any
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def __post_init__(self) -> None:
        w = self.window
        self.rows, self.columns = (
            Axis(self.shape[1 + i], w.kernel[i], w.strides[i], w.dilation[i], w.padding) for i in (0, 1)
        )
        n, _, _, c = self.shape
        self.out = (n, len(self.rows.taps), len(self.columns.taps), c)
        self.sum = np.promote_types(self.dtype, np.float32)
        self.x = self.rng.integers(-3, 3, self.shape).astype(self.dtype)
        for special in (np.nan, -np.inf):
            self.x[self.rng.random(self.shape) < 0.1] = special
        self.smooth = self.rng.standard_normal(self.shape).astype(self.dtype)
        self.g = self.rng.standard_normal(self.out).astype(self.dtype)
        self.cols = self.rng.standard_normal((n, *self.out[1:3], *w.kernel, c)).astype(self.dtype)
        self.tap_dtype = np.uint8 if w.kernel[0] * w.kernel[1] <= 256 else np.int32

    def pixels(self) -> list[tuple[int, int, list[tuple[int, int, int, int]]]]:
        """Return every output (o, q) with its taps (a, b, h, w) that look at the input."""
        return [
            (o, q, [(a, b, h, w) for a, h in high for b, w in wide])
            for o, high in enumerate(self.rows.taps)
            for q, wide in enumerate(self.columns.taps)
        ]

    def im2col(self) -> np.ndarray:
        cols = np.zeros(self.cols.shape, self.dtype)
        for o, q, taps in self.pixels():
            for a, b, h, w in taps:
                cols[:, o, q, a, b] = self.x[:, h, w]
        return cols

    def col2im(self) -> np.ndarray:
        return self._adjoint(lambda o, q, a, b, count: self.cols[:, o, q, a, b].astype(self.sum), self.sum)

    def max_pool(self) -> tuple[np.ndarray, np.ndarray]:
        y, argmax = np.full(self.out, -np.inf, self.dtype), np.zeros(self.out, self.tap_dtype)
        for o, q, taps in self.pixels():
            for n, c in np.ndindex(self.out[0], self.out[3]):
                values = [self.x[n, h, w, c] for _, _, h, w in taps]
                if not values:
                    continue
                missing = [i for i, value in enumerate(values) if np.isnan(value)]
                best = missing[0] if missing else values.index(max(values))
                y[n, o, q, c] = values[best]
                argmax[n, o, q, c] = taps[best][0] * self.window.kernel[1] + taps[best][1]
        return y, argmax

    @cached_property
    def argmax(self) -> np.ndarray:
        return self.max_pool()[1]

    def max_pool_grad(self) -> np.ndarray:
        def share(o: int, q: int, a: int, b: int, count: int) -> np.ndarray:
            won = self.argmax[:, o, q] == a * self.window.kernel[1] + b
            return np.where(won, self.g[:, o, q].astype(self.sum), 0)

        return self._adjoint(share)

    def max_pool_pick(self) -> np.ndarray:
        y = np.zeros(self.out, self.dtype)
        for o, q, taps in self.pixels():
            for a, b, h, w in taps:
                won = self.argmax[:, o, q] == a * self.window.kernel[1] + b
                y[:, o, q][won] = self.smooth[:, h, w][won]
        return y

    def avg_pool(self) -> np.ndarray:
        y = np.zeros(self.out, self.dtype)
        for o, q, taps in self.pixels():
            total = np.zeros((self.out[0], self.out[3]))
            for _, _, h, w in taps:
                total += self.smooth[:, h, w]
            y[:, o, q] = (total / max(len(taps), 1)).astype(self.sum)
        return y

    def avg_pool_grad(self) -> np.ndarray:
        return self._adjoint(lambda o, q, a, b, count: self.g[:, o, q].astype(self.sum) / self.sum.type(count))

    def _adjoint(self, share: Any, dtype: Any = np.float64) -> np.ndarray:
        dx = np.zeros(self.shape, dtype)
        for tap in np.ndindex(*self.window.kernel):
            for o, q, taps in self.pixels():
                for a, b, h, w in taps:
                    if (a, b) == tap:
                        dx[:, h, w] += share(o, q, a, b, len(taps))
        return dx.astype(self.sum).astype(self.dtype)

    def kernels(self) -> dict[str, tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]]:
        """Return for every kernel the expected outs and the inputs."""
        n, oh, ow, c = self.out
        flat = (n * oh * ow, self.window.kernel[0] * self.window.kernel[1] * c)
        return {
            "im2col": ((self.im2col().reshape(flat),), (self.x,)),
            "col2im": ((self.col2im(),), (self.cols.reshape(flat),)),
            "max_pool": (self.max_pool(), (self.x,)),
            "max_pool_grad": ((self.max_pool_grad(),), (self.g, self.argmax)),
            "max_pool_pick": ((self.max_pool_pick(),), (self.smooth, self.argmax)),
            "avg_pool": ((self.avg_pool(),), (self.smooth,)),
            "avg_pool_grad": ((self.avg_pool_grad(),), (self.g,)),
        }
