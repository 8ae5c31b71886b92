"""Maxima of windows, their way back and column sums in vectors, for any number of channels."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from gpudl.kernels.cpu.machine import windows
from gpudl.kernels.cpu.machine.vectors import LANES

CHANNELS = range(1, 71)  # around the widths of vectors, with every tail
POISON = np.float32(3e30)
EDGE = 64


# The helpers take addresses, and are compiled into the kernels that call them.
@numba.njit
def largest(x: Any, apart: Any, count: Any, table: Any, y: Any, tap: Any, channels: Any) -> None:
    windows.largest(x, apart, count, table.ctypes.data, len(table), y, tap, channels)


@numba.njit
def spread(x: Any, apart: Any, count: Any, table: Any, g: Any, tap: Any, y: Any, channels: Any) -> None:
    windows.spread(x, apart, count, table.ctypes.data, len(table), g, tap, y, channels)


@numba.njit
def column_sums(x: Any, rows: Any, apart: Any, channels: Any, out: Any, adds: Any) -> None:
    windows.column_sums(x, rows, apart, channels, out, adds)


class Buffer:
    """An array in the middle of a larger one, the rest of which must stay as it is."""

    def __init__(self, array: np.ndarray) -> None:
        self.whole = np.full(array.size + 2 * EDGE, POISON if array.dtype == np.float32 else 77, array.dtype)
        self.array = self.whole[EDGE : EDGE + array.size].reshape(array.shape)
        self.array[...] = array
        self.before = self.whole.copy()

    @property
    def address(self) -> int:
        return int(self.array.ctypes.data)

    def unchanged(self) -> bool:
        return self.whole.tobytes() == self.before.tobytes()

    def around_unchanged(self) -> bool:
        around = np.r_[0:EDGE, EDGE + self.array.size : self.whole.size]
        return bool((self.whole[around] == self.before[around]).all())


class Problem:
    """Some windows over pixels (P, C), side by side or with pixels between, each looking at a few of its pixels.

    The pixels hold equal values, zeros of both signs, NaN and infinities.
    """

    def __init__(self, channels: int, taps: int) -> None:
        self.rng = np.random.default_rng(channels)
        self.channels = channels
        self.count = int(self.rng.integers(1, 4))
        size = taps + int(self.rng.integers(0, 4))
        self.apart = size + int(self.rng.integers(0, 3))
        self.taps = np.sort(self.rng.choice(size, taps, replace=False))
        self.seen = np.arange(self.count)[:, None] * self.apart + self.taps  # pixel of each window and tap
        pixels = self.rng.integers(-2, 3, (self.seen.max() + 1, channels)).astype(np.float32)
        for value, share in ((np.nan, 0.05), (np.inf, 0.03), (-np.inf, 0.2), (-0.0, 0.1)):
            pixels[self.rng.random(pixels.shape) < share] = value
        self.pixels = pixels

    @property
    def where(self) -> tuple[int, int, np.ndarray]:
        """Distance and number of the windows, and their taps, as the kernels want them, counted in floats."""
        return self.apart * self.channels, self.count, self.taps * self.channels


def first_largest(values: np.ndarray) -> int:
    """Return which of some numbers is the largest: the first NaN, else the first of equals."""
    missing = np.flatnonzero(np.isnan(values))
    return int(missing[0] if len(missing) else np.argmax(values))


@pytest.mark.parametrize("taps", [1, 2, 4, 6, 9, 25])
def test_the_first_largest_or_nan_wins(taps: int) -> None:
    for channels in CHANNELS:
        p = Problem(channels, taps)
        x, y = Buffer(p.pixels), Buffer(np.full((p.count, channels), np.nan, np.float32))
        tap = Buffer(np.full((p.count, channels), 88, np.uint8))
        largest(x.address, *p.where, y.address, tap.address, channels)
        for window, pixels in enumerate(p.seen):
            expected = [first_largest(p.pixels[pixels, c]) for c in range(channels)]
            assert tap.array[window].tolist() == expected
            values = p.pixels[pixels[expected], range(channels)]
            assert y.array[window].view(np.uint32).tolist() == values.view(np.uint32).tolist()
        assert all(buffer.around_unchanged() for buffer in (x, y, tap))
        assert x.unchanged()


def test_the_last_of_many_taps_can_win() -> None:
    channels = LANES + 1
    pixels = np.zeros((256, channels), np.float32)
    pixels[-1] = 1
    x, y, tap = Buffer(pixels), Buffer(np.empty(channels, np.float32)), Buffer(np.empty(channels, np.uint8))
    largest(x.address, 0, 1, np.arange(256) * channels, y.address, tap.address, channels)
    assert (tap.array == 255).all()
    assert (y.array == 1).all()


@pytest.mark.parametrize("after_relu", [False, True])
@pytest.mark.parametrize("taps", [1, 2, 4, 6, 9, 25])
def test_a_gradient_goes_to_the_tap_that_won_and_zero_to_the_others(taps: int, after_relu: bool) -> None:
    for channels in CHANNELS:
        p = Problem(channels, taps)
        won = p.rng.integers(0, taps, (p.count, channels))
        gradient = p.rng.standard_normal(won.shape).astype(np.float32)
        maxima = p.rng.choice(np.array([0, -0.0, 1e-40, 2, np.inf, np.nan], np.float32), won.shape)
        x, g, tap, y = map(Buffer, (np.full(p.pixels.shape, POISON), gradient, won.astype(np.uint8), maxima))
        spread(x.address, *p.where, g.address, tap.address, y.address if after_relu else 0, channels)
        expected = np.full(p.pixels.shape, POISON)
        expected[p.seen] = 0
        expected[np.take_along_axis(p.seen, won, axis=1), range(channels)] = (
            gradient * np.where(maxima > 0, 1, 0) if after_relu else gradient
        )
        np.testing.assert_array_equal(x.array, expected)
        assert x.around_unchanged()
        assert all(buffer.unchanged() for buffer in (g, tap, y))


def test_an_infinite_gradient_before_a_relu_that_is_off_is_not_a_number() -> None:
    x, g = Buffer(np.ones((2, 2), np.float32)), Buffer(np.array([np.inf, np.nan], np.float32))
    tap, y = Buffer(np.array([0, 1], np.uint8)), Buffer(np.zeros(2, np.float32))
    spread(x.address, 0, 1, np.array([0, 2]), g.address, tap.address, y.address, 2)
    np.testing.assert_array_equal(x.array, [[np.nan, 0], [0, np.nan]])


@pytest.mark.parametrize("adds", [0, 1])
@pytest.mark.parametrize("rows", [0, 1, 2, 37])
def test_columns_are_summed_in_the_order_of_the_rows(rows: int, adds: int) -> None:
    for channels in CHANNELS:
        rng = np.random.default_rng(channels)
        apart = channels + 3 * (channels % 2)
        x = Buffer(rng.standard_normal((rows, apart)).astype(np.float32))
        start = rng.standard_normal(channels)
        out = Buffer(start if adds else np.full(channels, np.nan))
        total = start if adds else np.zeros(channels)
        for row in x.array:
            total = total + row[:channels]
        column_sums(x.address, rows, apart, channels, out.address, adds)
        assert out.array.tobytes() == total.tobytes()
        assert x.unchanged()
        assert out.around_unchanged()
