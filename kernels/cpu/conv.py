"""A convolution and its two gradients, each by the algorithm that `conv_choice` estimates to be fastest.

Layouts: x (N, H, W, C), w (KH, KW, C, F), y and g (N, OH, OW, F). im2col is the algorithm of the op's reference.
"""

from __future__ import annotations

from numpy import ndarray

from ..geometry import Ints, Window
from ..registry import accelerates
from . import conv_implicit as implicit
from . import conv_implicit_weights, conv_phases, conv_winograd_weights
from . import conv_winograd as winograd
from .conv_choice import INPUT, VALUE, WEIGHT, chosen
from .machine.scratch import NO_BYTES, NO_FLOATS
from .matmul import multiplied

_TILE = Window((2, 2), (2, 2))


def _pixels(array: ndarray) -> ndarray:
    return array.reshape(-1, array.shape[-1])


def supports_value(y: ndarray, x: ndarray, w: ndarray, *, window: Window, algorithm: str = "auto") -> bool:
    """Accept float32 images that are not computed by im2col."""
    wanted = implicit.supports_images(y, x, w, window=window)
    return wanted and chosen(VALUE, window, tuple(x.shape), w.shape[3], algorithm) != "im2col"


@accelerates("conv2d", device="cpu", supports=supports_value)
def conv2d(y: ndarray, x: ndarray, w: ndarray, *, window: Window, algorithm: str = "auto") -> None:
    """Convolve x (N, H, W, C) with w (KH, KW, C, F) into y (N, OH, OW, F)."""
    value(y, NO_BYTES, x, w, NO_FLOATS, window, algorithm, "linear", None)


def supports_pool(x: ndarray, w: ndarray, pool: Window, *, window: Window, algorithm: str = "auto") -> bool:
    """Return whether the algorithm that is chosen for a convolution can be fused with the max-pooling `pool`."""
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
    """Compute activation(conv2d(x, w) + b), with b empty for no bias; with `pool`, its maxima and their taps."""
    way = chosen(VALUE, window, x.shape, w.shape[3], algorithm)
    if way == "gemm":
        multiplied(_pixels(y), _pixels(x), _pixels(w), b, activation)
    elif way == "winograd":
        winograd.convolve(y, argmax, x, w, b, window, activation, pool is not None)
    else:
        implicit.convolve(y, argmax, x, w, b, window, activation, pool)


def _supports_input(
    dx: ndarray, g: ndarray, w: ndarray, *, shape: Ints, window: Window, algorithm: str = "auto"
) -> bool:
    wanted = implicit.supports_images(dx, g, w, window=window)
    return wanted and chosen(INPUT, window, tuple(shape), w.shape[3], algorithm) != "im2col"


@accelerates("conv2d_input_grad", device="cpu", supports=_supports_input)
def conv2d_input_grad(
    dx: ndarray, g: ndarray, w: ndarray, *, shape: Ints, window: Window, algorithm: str = "auto"
) -> None:
    """Compute the gradient of `conv2d` with respect to x from that of y."""
    transposed(dx, g, w, NO_FLOATS, window, algorithm, "linear")


def supports_transposed(
    dx: ndarray, g: ndarray, w: ndarray, *, shape: Ints, window: Window, algorithm: str = "auto"
) -> bool:
    """Return whether the algorithm that is chosen for the gradient of the input can be fused with a bias and a ReLU."""
    return (
        _supports_input(dx, g, w, shape=shape, window=window, algorithm=algorithm)
        and chosen(INPUT, window, tuple(shape), w.shape[3], algorithm) != "winograd"
    )


def transposed(
    dx: ndarray, g: ndarray, w: ndarray, b: ndarray, window: Window, algorithm: str, activation: str
) -> None:
    """Compute activation(conv2d_input_grad(g, w) + b), with b empty for no bias, as a transposed convolution does."""
    way = chosen(INPUT, window, dx.shape, w.shape[3], algorithm)
    if way == "gemm":
        multiplied(_pixels(dx), _pixels(g), _pixels(w), b, activation, transpose_b=True)
    elif way == "winograd":
        winograd.input_grad(dx, g, w, window)
    else:
        conv_phases.input_grad(dx, g, w, b, window, activation)


def supports_weights(dw: ndarray, x: ndarray, g: ndarray, *, window: Window, algorithm: str = "auto") -> bool:
    """Accept float32 images that are not computed by im2col."""
    wanted = implicit.supports_images(dw, x, g, window=window)
    return wanted and chosen(WEIGHT, window, tuple(x.shape), g.shape[3], algorithm) != "im2col"


@accelerates("conv2d_weight_grad", device="cpu", supports=supports_weights)
def conv2d_weight_grad(dw: ndarray, x: ndarray, g: ndarray, *, window: Window, algorithm: str = "auto") -> None:
    """Compute the gradient of `conv2d` with respect to w from that of y."""
    if chosen(WEIGHT, window, x.shape, g.shape[3], algorithm) == "winograd":
        conv_winograd_weights.weight_grad(dw, x, g, window)
    else:
        conv_implicit_weights.weight_grad(dw, NO_FLOATS, x, g, NO_BYTES, NO_FLOATS, window, None)
