"""Optimizer updates: one pass over weights, gradients and slots, in place, for float32 and float64.

The learning rate and the number of finished steps are 0-d arrays on the device that the kernels read.
"""

from __future__ import annotations

import numpy as np

from ..registry import accelerates
from .launch import Array, Kernel, contiguous, function, index, launch, real, width


def _update(name: str, buffers: tuple[Array, ...], scalars: tuple[Array, ...], *numbers: np.generic) -> None:
    """Launch a kernel on arrays of one shape, 0-d arrays, and NumPy scalars; the first array is the weights."""
    at_once = width(buffers)
    kernel = _kernel(name, buffers, at_once)
    if kernel is None:
        raise RuntimeError(f"{name} of update.cu does not compile here; check `supports` first.")
    size = index(*buffers)[1](buffers[0].size)
    launch(kernel, buffers[0].size, (*buffers, *scalars, size, *numbers), at_once)


def _kernel(name: str, arrays: tuple[Array, ...], at_once: int) -> Kernel | None:
    holds, counts = real(*arrays) or "", index(*arrays)[0]
    return function("update.cu", name, GPUDL_REAL=holds, GPUDL_INDEX=counts, GPUDL_WIDTH=at_once)


def _supports(*arrays: Array, **static: object) -> bool:
    """Accept buffers of one shape, then 0-d arrays: a learning rate of their dtype and an int64 number of steps."""
    shape = arrays[0].shape
    buffers = [a for a in arrays if a.dtype.kind == "f"][:-1]
    scalars = arrays[len(buffers) :]
    return (
        real(*buffers, scalars[0]) in ("FLOAT32", "FLOAT64")
        and all(a.shape == shape for a in buffers)
        and all(a.shape == () for a in scalars)
        and all(a.dtype == np.int64 for a in scalars[1:])
        and contiguous(*arrays)
        and _kernel("sgd", arrays, 1) is not None
    )


@accelerates("sgd_", device="cuda", supports=_supports)
def sgd_(w: Array, g: Array, lr: Array) -> None:
    """Step against the gradient: w -= lr * g; w, g of one shape, lr ()."""
    _update("sgd", (w, g), (lr,))


@accelerates("sgd_momentum_", device="cuda", supports=_supports)
def sgd_momentum_(w: Array, m: Array, g: Array, lr: Array, *, momentum: float, nesterov: bool) -> None:
    """Step with momentum as Keras's SGD: m = momentum * m - lr * g; w += m, or w += momentum * m - lr * g."""
    _update("sgd_momentum", (w, m, g), (lr,), w.dtype.type(momentum), np.int32(nesterov))


@accelerates("rmsprop_", device="cuda", supports=_supports)
def rmsprop_(w: Array, v: Array, g: Array, lr: Array, *, rho: float, epsilon: float) -> None:
    """Step by the gradient over its moving root mean square: v = rho v + (1 - rho) g^2; w -= lr g / sqrt(v + epsilon).

    Source: Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012.
    """
    number = w.dtype.type
    _update("rmsprop", (w, v, g), (lr,), number(rho), number(1 - rho), number(epsilon))


@accelerates("adam_", device="cuda", supports=_supports)
def adam_(
    w: Array, m: Array, v: Array, g: Array, lr: Array, step: Array, *, beta_1: float, beta_2: float, epsilon: float
) -> None:
    """Step by Adam, with the bias correction in the learning rate; `step` () int64 counts finished updates.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, end of section 2.
    """
    number, betas = w.dtype.type, (np.float64(beta_1), np.float64(beta_2))
    _update("adam", (w, m, v, g), (lr, step), *betas, number(1 - beta_1), number(1 - beta_2), number(epsilon))
