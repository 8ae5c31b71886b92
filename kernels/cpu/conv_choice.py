"""Which way a convolution is computed: a small model of what each costs, in vector instructions."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ..geometry import Ints, Window
from .machine.vectors import LANES

VALUE, INPUT, WEIGHT = "value", "input gradient", "weight gradient"


@lru_cache(maxsize=1024)
def chosen(product: str, window: Window, shape: Ints, filters: int, wanted: str = "auto") -> str:
    """Return "gemm", "winograd", "implicit" or "im2col" for one of the three products of a convolution.

    Where a `crop` leaves out pixels the choice is that of the whole convolution, or, instead of "gemm", one that sums
    in the same order: the bits are the same.

    Args:
        product: `VALUE`, `INPUT` or `WEIGHT`.
        window: of the convolution.
        shape: of its input, (N, H, W, C).
        filters: channels of its output.
        wanted: an algorithm to insist on, or "auto"; one that does not fit gives way to im2col.
    """
    fitting = _fitting(product, window)
    if wanted != "auto":
        return wanted if wanted in fitting else "im2col"
    if "gemm" in fitting:
        return "gemm"
    costs = _costs(product, replace(window, crop=()), shape, filters)
    return min(costs, key=lambda name: costs[name] if name in fitting else float("inf"))


def _fitting(product: str, window: Window) -> set[str]:
    unit = set(window.strides) == set(window.dilation) == {1}
    found = {"implicit", "im2col"}
    if unit and window.kernel == (3, 3):
        found.add("winograd")
    if unit and window.taps == 1 and not any(window.crop) and product != WEIGHT:
        found.add("gemm")  # the steps of a weight gradient are all pixels: these are shared out by "implicit"
    return found


def _costs(product: str, window: Window, shape: Ints, filters: int) -> dict[str, float]:
    channels, (oh, ow) = shape[3], window.output(shape[1:3])
    vectors = -(-filters // LANES)
    # For each pixel of the output, im2col writes a row of patches, which is read again.
    patches = 2 * window.taps * channels / LANES
    direct = oh * ow * window.taps * channels * vectors
    columns = direct + oh * ow * patches
    if product == INPUT:  # the channels of the input are what fills vectors
        direct = oh * ow * window.taps * filters * -(-channels // LANES)
        columns = oh * ow * (filters * -(-window.taps * channels // LANES) + 4 * patches)
    # A product loses some eight steps to its beginning and its end; a vector of a tile takes about 96 instructions for
    # the way there and back. The numbers are fitted to what twelve shapes took.
    shallow = {VALUE: channels, INPUT: filters, WEIGHT: 24}[product]
    multiplied = 16 * (shallow + 8) / shallow * direct / (oh * ow * window.taps)
    moved = 96 * (-(-channels // LANES) + vectors)
    tiles = -(-oh // 2) * -(-ow // 2)
    return {"implicit": direct, "im2col": columns, "winograd": 1.1 * tiles * (multiplied + moved)}
