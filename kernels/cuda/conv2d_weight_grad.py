"""The gradient of a convolution with respect to its filters, by the kernel of `conv2d_weight_grad.cu`."""

from __future__ import annotations

from ..geometry import Window
from ..registry import accelerates
from .gemm import WAYS, Product, fit, of_windows
from .launch import Array
from .tiles import Sums


def of_weights(dw: Array, x: Array, g: Array, window: Window) -> Product:
    """Return the product of the windows of x (N, H, W, C), as columns, and g (N, OH, OW, F)."""
    c, f = dw.shape[2:]
    sums = Sums(window.taps * c, f, g.size // max(f, 1), a_along=False, b_along=False)
    return of_windows("conv2d_weight_grad", sums, (c, f), tuple(x.shape), window, f)


def _supports_weights(dw: Array, x: Array, g: Array, *, window: Window, algorithm: str = "auto") -> bool:
    return algorithm in WAYS and fit(dw, x, g, axes=4) and of_weights(dw, x, g, window).compiles(dw, x, g)


@accelerates("conv2d_weight_grad", device="cuda", supports=_supports_weights)
def conv2d_weight_grad(dw: Array, x: Array, g: Array, *, window: Window, algorithm: str = "auto") -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y."""
    of_weights(dw, x, g, window)(dw, x, g)
