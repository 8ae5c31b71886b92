"""Bias and activation in one pass, their gradients, and elementwise functions that LLVM can vectorise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ..registry import accelerates, floats
from .machine.prebound import Kernel, share
from .machine.threads import BLOCK, INNER, inner, piece, pieces

_CODES = {"linear": 0, "relu": 1, "sigmoid": 2, "tanh": 3}
_LINEAR, _RELU, _SIGMOID, _TANH = _CODES.values()

f4 = np.float32


def _exp_f4(x: Any) -> Any:
    # exp(x) = 2**n * exp(r) with |r| <= ln(2) / 2; ln(2) in two parts, so that n * ln(2) loses no bits.
    # 2**n in two factors, since n reaches -150 (subnormal results) and 129 (overflow to inf).
    x = f4(-104) if x < f4(-104) else x
    x = f4(89) if x > f4(89) else x
    n = np.floor(x * f4(1.4426950408889634) + f4(0.5))
    r = x - n * f4(0.693359375) + n * f4(2.12194440e-4)
    p = f4(1.9875691500e-4)
    p = p * r + f4(1.3981999507e-3)
    p = p * r + f4(8.3334519073e-3)
    p = p * r + f4(4.1665795894e-2)
    p = p * r + f4(1.6666665459e-1)
    p = p * r + f4(0.5)
    p = p * r * r + r + f4(1)
    power = np.int32(n if n > f4(-151) else f4(-151))  # also for NaN, which has no integer
    half = power >> np.int32(1)
    return p * _power_of_two(half) * _power_of_two(power - half)


@inner
def _power_of_two(n: Any) -> Any:
    return np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


def _tanh_f4(x: Any) -> Any:
    s = x * x
    p = f4(-5.70498872745e-3)
    p = p * s + f4(2.06390887954e-2)
    p = p * s + f4(-5.37397155531e-2)
    p = p * s + f4(1.33314422036e-1)
    p = p * s + f4(-3.33332819422e-1)
    small = p * s * x + x
    large = f4(1) - f4(2) / (exp(f4(2) * abs(x)) + f4(1))
    large = -large if x < f4(0) else large
    return small if abs(x) < f4(0.625) else large


def exp(x: Any) -> Any:
    """Return e**x inside a kernel; in float32 by the polynomial of Moshier's Cephes library (about 1 ulp)."""
    raise NotImplementedError("exp is compiled into kernels; Python has math.exp.")


def tanh(x: Any) -> Any:
    """Return tanh(x) inside a kernel; in float32 as in Moshier's Cephes library (1 to 2 ulp)."""
    raise NotImplementedError("tanh is compiled into kernels; Python has math.tanh.")


@overload(exp, strict=False, jit_options=INNER)
def _(x: Any) -> Any:
    return _exp_f4 if x == types.float32 else lambda x: math.exp(x)  # noqa: PLW0108 (Numba compiles source)


@overload(tanh, strict=False, jit_options=INNER)
def _(x: Any) -> Any:
    return _tanh_f4 if x == types.float32 else lambda x: math.tanh(x)  # noqa: PLW0108 (Numba compiles source)


def known(*arrays: Any, activation: str) -> bool:
    """Accept `floats` and an activation that has a kernel."""
    return floats(*arrays) and activation in _CODES


def _fits(y: Any, x: Any, b: Any, *, activation: str) -> bool:
    return known(y, x, b, activation=activation) and b.ndim == 1 and x.ndim > 0


@Kernel
def _bias_activation(worker, workers, y, x, b, code, together):  # type: ignore[no-untyped-def]
    # x, y (rows * C,), b (C,). The bias comes first, for `together` rows at a time: the activation then has
    # a long run of numbers, still in the cache, however few channels there are.
    zero, one = y.dtype.type(0), y.dtype.type(1)
    length = together * b.size
    for block in share((x.size + length - 1) // length, worker, workers):
        first, last = np.uintp(block * length), np.uintp(min((block + 1) * length, x.size))
        for row in range(first, last, np.uintp(b.size)):
            for k in range(np.uintp(b.size)):
                y[row + k] = x[row + k] + b[k]
        if code == _RELU:
            for k in range(first, last):
                y[k] = zero if y[k] <= zero else y[k]  # a NaN is not <= 0 and stays
        elif code == _SIGMOID:
            for k in range(first, last):
                e = exp(-abs(y[k]))  # cannot overflow
                y[k] = (one if y[k] >= zero else e) / (one + e)
        elif code == _TANH:
            for k in range(first, last):
                y[k] = tanh(y[k])


@accelerates("bias_activation", device="cpu", takes=_fits)
def bias_activation(y: Any, x: Any, b: Any, *, activation: str) -> None:
    """Compute y = activation(x + b): x (..., C), b (C,) -> y (..., C).

    Example:
        >>> y = np.empty((1, 2))
        >>> bias_activation(y, np.array([[1.0, -3.0]]), np.array([1.0, 2.0]), activation="relu")
        >>> y
        array([[2., 0.]])
    """
    if x.size:
        code = _CODES[activation]
        work = x.size << 2 if code in (_SIGMOID, _TANH) else x.size
        _bias_activation(work, y.reshape(-1), x.reshape(-1), b, code, max(BLOCK // b.size, 1))


@Kernel
def _activation_grad(worker, workers, dx, g, y, code):  # type: ignore[no-untyped-def]
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for block in share(pieces(dx.size), worker, workers):
        first, last = piece(block, dx.size)
        if code == _LINEAR:
            for k in range(first, last):
                dx[k] = g[k]
        elif code == _RELU:
            for k in range(first, last):
                dx[k] = g[k] * (one if y[k] > zero else zero)
        elif code == _SIGMOID:
            for k in range(first, last):
                dx[k] = g[k] * y[k] * (one - y[k])
        else:
            for k in range(first, last):
                dx[k] = g[k] * (one - y[k] * y[k])


@accelerates("activation_grad", device="cpu", takes=known)
def activation_grad(dx: Any, g: Any, y: Any, *, activation: str) -> None:
    """Compute dx = g * activation'(x) from the activation's result `y`; all of one shape."""
    _activation_grad(dx.size, dx.reshape(-1), g.reshape(-1), y.reshape(-1), _CODES[activation])
