"""The gradient of a convolution with respect to its input, by the kernel of `conv2d_input_grad.cu`."""

from __future__ import annotations

from math import ceil

from ..geometry import Ints, Window
from ..registry import accelerates
from .gemm import WAYS, Product, fit, of_windows
from .launch import Array
from .tiles import Sums


def of_input(dx: Array, g: Array, w: Array, window: Window) -> Product:
    """Return the product of windows of g (N, OH, OW, F) and the filters w (KH, KW, C, F), for each class of inputs."""
    n, *size, c = dx.shape
    f = w.shape[3]
    inputs = [ceil(length / step) for length, step in zip(size, window.strides, strict=True)]
    taps = [ceil(length / step) for length, step in zip(window.kernel, window.strides, strict=True)]
    down, right = window.strides
    sums = Sums(n * inputs[0] * inputs[1], c, taps[0] * taps[1] * f, a_along=True, b_along=True, classes=down * right)
    return of_windows("conv2d_input_grad", sums, (f, f), tuple(dx.shape), window, f)


def _supports_input(dx: Array, g: Array, w: Array, *, shape: Ints, window: Window, algorithm: str = "auto") -> bool:
    return algorithm in WAYS and fit(dx, g, w, axes=4) and of_input(dx, g, w, window).compiles(dx, g, w)


@accelerates("conv2d_input_grad", device="cuda", supports=_supports_input)
def conv2d_input_grad(dx: Array, g: Array, w: Array, *, shape: Ints, window: Window, algorithm: str = "auto") -> None:
    """Compute the gradient of `conv2d` with respect to x from that of y."""
    of_input(dx, g, w, window)(dx, g, w)
