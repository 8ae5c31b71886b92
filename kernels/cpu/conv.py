"""The three products of a convolution, each by whichever way `choice` finds cheapest.

Layouts: x (N, H, W, C), w (KH, KW, C, F), y and g (N, OH, OW, F). The way by im2col is that of the op itself.
"""

from __future__ import annotations

from numpy import ndarray

from ..geometry import Ints, Window
from ..registry import accelerates
from . import conv_implicit as implicit
from . import conv_implicit_weights, conv_winograd_weights
from . import conv_winograd as winograd
from .conv_choice import INPUT, VALUE, WEIGHT, chosen
from .machine.scratch import NO_BYTES, NO_FLOATS
from .matmul import multiplied

_TILE = Window((2, 2), (2, 2))


def _pixels(array: ndarray) -> ndarray:
    return array.reshape(-1, array.shape[-1])


def takes_value(y: ndarray, x: ndarray, w: ndarray, *, window: Window, algorithm: str = "auto") -> bool:
    """Accept float32 images that are not computed by im2col."""
    wanted = implicit.takes_images(y, x, w, window=window)
    return wanted and chosen(VALUE, window, tuple(x.shape), w.shape[3], algorithm) != "im2col"


@accelerates("conv2d", device="cpu", takes=takes_value)
def conv2d(y: ndarray, x: ndarray, w: ndarray, *, window: Window, algorithm: str = "auto") -> None:
    """Convolve x (N, H, W, C) with w (KH, KW, C, F) into y (N, OH, OW, F)."""
    value(y, NO_BYTES, x, w, NO_FLOATS, window, algorithm, "linear", None)


def takes_pool(x: ndarray, w: ndarray, pool: Window, *, window: Window, algorithm: str = "auto") -> bool:
    """Tell whether the way of a convolution can compute the maxima under `pool` at once."""
    way = chosen(VALUE, window, tuple(x.shape), w.shape[3], algorithm)
    return way == "implicit" or (way == "winograd" and pool == _TILE)


def value(
    y: ndarray,
    argmax: ndarray,
    x: ndarray,
    w: ndarray,
    b: ndarray,
    window: Window,
    algorithm: str,
    activation: str,
    pool: Window | None,
) -> None:
    """Compute activation(conv2d(x, w) + b), b empty for none, and its maxima under `pool` with their taps, if any."""
    way = chosen(VALUE, window, x.shape, w.shape[3], algorithm)
    if way == "gemm":
        multiplied(_pixels(y), _pixels(x), _pixels(w), b, activation)
    elif way == "winograd":
        winograd.convolved(y, argmax, x, w, b, window, activation, pool is not None)
    else:
        implicit.convolved(y, argmax, x, w, b, window, activation, pool)


def _takes_input(dx: ndarray, g: ndarray, w: ndarray, *, shape: Ints, window: Window, algorithm: str = "auto") -> bool:
    wanted = implicit.takes_images(dx, g, w, window=window)
    return wanted and chosen(INPUT, window, tuple(shape), w.shape[3], algorithm) != "im2col"


@accelerates("conv2d_input_grad", device="cpu", takes=_takes_input)
def conv2d_input_grad(
    dx: ndarray, g: ndarray, w: ndarray, *, shape: Ints, window: Window, algorithm: str = "auto"
) -> None:
    """Compute the gradient of `conv2d` with respect to x from that of y."""
    way = chosen(INPUT, window, dx.shape, w.shape[3], algorithm)
    if way == "gemm":
        multiplied(_pixels(dx), _pixels(g), _pixels(w), NO_FLOATS, "linear", transpose_b=True)
    else:
        (winograd if way == "winograd" else implicit).spread_back(dx, g, w, window)


def takes_weights(dw: ndarray, x: ndarray, g: ndarray, *, window: Window, algorithm: str = "auto") -> bool:
    """Accept float32 images that are not computed by im2col."""
    wanted = implicit.takes_images(dw, x, g, window=window)
    return wanted and chosen(WEIGHT, window, tuple(x.shape), g.shape[3], algorithm) != "im2col"


@accelerates("conv2d_weight_grad", device="cpu", takes=takes_weights)
def conv2d_weight_grad(dw: ndarray, x: ndarray, g: ndarray, *, window: Window, algorithm: str = "auto") -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y."""
    if chosen(WEIGHT, window, x.shape, g.shape[3], algorithm) == "winograd":
        conv_winograd_weights.weighed(dw, x, g, window)
    else:
        conv_implicit_weights.weighed(dw, NO_FLOATS, x, g, NO_BYTES, NO_FLOATS, window, None)
