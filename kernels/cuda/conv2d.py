"""Convolutions, alone or fused with a bias and an activation, by the kernel of `conv2d.cu`."""

from __future__ import annotations

from ..geometry import Window
from ..registry import Stages, accelerates
from .gemm import WAYS, Product, bias_fits, fit, of_windows
from .launch import Array
from .tiles import Sums


def of_value(y: Array, x: Array, w: Array, window: Window) -> Product:
    """Return the product of the windows of x (N, H, W, C) and the filters w (KH, KW, C, F)."""
    c, f = w.shape[2:]
    sums = Sums(y.size // max(f, 1), f, window.taps * c, a_along=True, b_along=False)
    return of_windows("conv2d", sums, (c, f), tuple(x.shape), window, f)


def _value_fits(
    y: Array, x: Array, w: Array, *, window: Window, algorithm: str = "auto", activation: str | None = None
) -> bool:
    fits = algorithm in WAYS and fit(y, x, w, axes=4)
    return fits and of_value(y, x, w, window).compiles(y, x, w, activation=activation)


@accelerates("conv2d", device="cuda", supports=_value_fits)
def conv2d(y: Array, x: Array, w: Array, *, window: Window, algorithm: str = "auto") -> None:
    """Convolve x (N, H, W, C) with w (KH, KW, C, F) into y (N, OH, OW, F)."""
    of_value(y, x, w, window)(y, x, w)


def _biased_value(y: Array, x: Array, w: Array, b: Array, *, stages: Stages) -> bool:
    activation = stages[1]["activation"]
    return bias_fits(y, b, activation) and _value_fits(y, x, w, **stages[0], activation=activation)


@accelerates("conv2d+bias_activation", device="cuda", supports=_biased_value)
def conv2d_bias_activation(y: Array, x: Array, w: Array, b: Array, *, stages: Stages) -> None:
    """Compute activation(conv2d(x, w) + b)."""
    of_value(y, x, w, stages[0]["window"])(y, x, w, b, stages[1]["activation"])
