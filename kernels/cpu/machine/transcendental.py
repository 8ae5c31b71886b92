"""exp and tanh for kernels, written so that LLVM can vectorise them."""

from __future__ import annotations

import math

import numpy as np
from llvmlite.ir import Type
from numba import types
from numba.extending import overload

from .threads import INNER, inner

f4 = np.float32


def _exp_f4(x: np.float32) -> np.float32:
    # exp(x) = 2**n * exp(r) with |r| <= ln(2) / 2; ln(2) in two parts, so that n * ln(2) loses no bits.
    # 2**n in two factors, since n reaches -150 (subnormal results) and 129 (overflow to inf).
    x = f4(-104) if x < f4(-104) else x
    x = f4(89) if x > f4(89) else x
    n: np.float32 = np.floor(x * f4(1.4426950408889634) + f4(0.5))
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
def _power_of_two(n: np.int32) -> np.float32:
    return np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


def _tanh_f4(x: np.float32) -> np.float32:
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


def exp(x: np.float32) -> np.float32:
    """Return e**x inside a kernel; in float32 by the polynomial of Moshier's Cephes library (about 1 ulp)."""
    raise NotImplementedError("exp is compiled into kernels; Python has math.exp.")


def tanh(x: np.float32) -> np.float32:
    """Return tanh(x) inside a kernel; in float32 as in Moshier's Cephes library (1 to 2 ulp)."""
    raise NotImplementedError("tanh is compiled into kernels; Python has math.tanh.")


@overload(exp, strict=False, jit_options=INNER)
def _(x: Type) -> object:
    return _exp_f4 if x == types.float32 else lambda x: math.exp(x)  # noqa: PLW0108 (Numba compiles source)


@overload(tanh, strict=False, jit_options=INNER)
def _(x: Type) -> object:
    return _tanh_f4 if x == types.float32 else lambda x: math.tanh(x)  # noqa: PLW0108 (Numba compiles source)
