"""Which algorithm computes a convolution: a small cost model, in vector instructions."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ..geometry import Ints, Window
from .machine.vectors import LANES

VALUE, INPUT, WEIGHT = "value", "input gradient", "weight gradient"


@lru_cache(maxsize=1024)
def chosen(product: str, window: Window, shape: Ints, filters: int, wanted: str = "auto") -> str:
    """Return "gemm", "winograd", "implicit" or "im2col" for a convolution or one of its two gradients.

    Where a `crop` leaves out pixels, the choice is that of the whole convolution, or, instead of "gemm", an algorithm
    that sums in the same order, so that the results are bitwise equal.

    Args:
        product: `VALUE`, `INPUT` or `WEIGHT`.
        window: window of the convolution.
        shape: shape of its input, (N, H, W, C).
        filters: number of output channels.
        wanted: the algorithm to use, or "auto"; im2col replaces one that cannot compute this convolution.
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
        found.add("gemm")  # a weight gradient sums over all pixels, which "implicit" splits into parts
    return found


def _costs(product: str, window: Window, shape: Ints, filters: int) -> dict[str, float]:
    channels, (oh, ow) = shape[3], window.output(shape[1:3])
    vectors = -(-filters // LANES)
    # For each output pixel, im2col writes a row of patches, which is read again.
    patches = 2 * window.taps * channels / LANES
    direct = oh * ow * window.taps * channels * vectors
    columns = direct + oh * ow * patches
    if product == INPUT:  # the vectors run along the channels of the input
        direct = oh * ow * window.taps * filters * -(-channels // LANES)
        columns = oh * ow * (filters * -(-window.taps * channels // LANES) + 4 * patches)
    # The start and the end of a product cost about as much as eight steps of it; the transforms of one vector of a tile
    # take about 96 instructions. The numbers are fitted to the measured times of twelve shapes.
    shallow = {VALUE: channels, INPUT: filters, WEIGHT: 24}[product]
    multiplied = 16 * (shallow + 8) / shallow * direct / (oh * ow * window.taps)
    moved = 96 * (-(-channels // LANES) + vectors)
    tiles = -(-oh // 2) * -(-ow // 2)
    return {"implicit": direct, "im2col": columns, "winograd": 1.1 * tiles * (multiplied + moved)}
