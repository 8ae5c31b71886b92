"""Depthwise convolution and its gradients, by the kernels of `depthwise.cu`, and for sums of filters `splits.cu`."""

from __future__ import annotations

from math import ceil

import numpy as np

from ..geometry import Window
from ..registry import accelerates
from .gemm import fit
from .launch import THREADS, Array, function, index, run
from .norm import alike
from .sharing import Columns, columns, compiled, macros, sum_type
from .splits import start_sum, sum_kernel
from .windows import WindowKernel, enter, numbers

FILE = "depthwise.cu"
_TAPS = 9  # that a thread sums at a time, as in the file
_LEAST = 4  # bytes: more channels at a time would need more registers for their sums

enter(
    WindowKernel("depthwise_conv2d", FILE, image=1, together=True),  # (y, x, w, *, window)
    WindowKernel("depthwise_conv2d_input_grad", FILE, image=0, together=True),  # (dx, g, w, *, shape, window)
)


def _shares(x: Array, g: Array) -> Columns:
    channels = x.shape[-1]
    return columns((1, g.size // channels, channels), max(int(x.dtype.itemsize), _LEAST))


def _supports(dw: Array, x: Array, g: Array, *, window: Window) -> bool:
    return (
        fit(x, g, axes=4)
        and alike(x, g, dw)
        and g.size > 0
        and function(FILE, "depthwise_conv2d_weight_grad", **macros((x, g), _shares(x, g).width)) is not None
        and sum_kernel(dw, "BARE") is not None
    )


@accelerates("depthwise_conv2d_weight_grad", device="cuda", supports=_supports)
def depthwise_conv2d_weight_grad(dw: Array, x: Array, g: Array, *, window: Window) -> None:
    """Compute the gradient of `depthwise_conv2d` with respect to w from that of y."""
    import cupy

    shares, kind = _shares(x, g), index(x, g)[1]
    kernel = compiled(FILE, "depthwise_conv2d_weight_grad", (x, g), macros((x, g), shares.width))
    add = sum_kernel(dw, "BARE")
    if add is None:
        raise RuntimeError("sum_splits of splits.cu does not compile here; check `supports` first.")
    partial = cupy.empty((shares.parts, dw.size), sum_type(x.dtype))
    split = (kind(shares.parts), kind(shares.step), np.int32(shares.lanes))
    sizes = numbers(tuple(x.shape), window, 1, kind == np.int64)
    run(kernel, (shares.blocks, ceil(window.taps / _TAPS)), THREADS, (partial, x, g, *split, *sizes))
    start_sum(add, dw, partial, dw, x.shape[-1], shares.parts)
