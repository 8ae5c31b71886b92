"""Depthwise convolution on the GPU, on the double of CuPy: many taps, many rows, 16 bits, any address."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contract_cases.contract import normal
from contract_cases.depthwise import input_grad, value, weight_grad
from cuda_kernels import meter
from gpudl.kernels.cuda import depthwise
from gpudl.kernels.geometry import Window
from reduction_runs import run

__all__ = ["meter"]
pytestmark = pytest.mark.usefixtures("meter")
WINDOW = Window((4, 3), (1, 2), "same")  # more taps than a thread sums at a time
EPSILON = {"bfloat16": 2.0**-7, "float32": 2.0**-22}


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else name)


@pytest.mark.parametrize(("dtype", "channels"), [("bfloat16", 8), ("float32", 5)])
def test_results_and_gradients(dtype: str, channels: int) -> None:
    kind, shape = dtype_of(dtype), (2, 56, 41, channels)
    rng = np.random.default_rng(3)
    out = (2, *WINDOW.output(shape[1:3]), channels)
    x, w, g = (normal(rng, *each).astype(kind) for each in (shape, (*WINDOW.kernel, channels), out))
    assert depthwise._shares(x, g).parts > 1
    for name, outs, ins, static, exact in (
        ("depthwise_conv2d", g, (x, w), {}, value),
        ("depthwise_conv2d_input_grad", x, (g, w), {"shape": shape}, input_grad),
        ("depthwise_conv2d_weight_grad", w, (x, g), {}, weight_grad),
    ):
        wide = tuple(a.astype(np.float64) for a in ins)
        expected, size = exact(*wide, window=WINDOW, **static), exact(*map(abs, wide), window=WINDOW, **static)
        before = None
        for shift in (0, 1):
            got = run(name, (outs,), ins, {"window": WINDOW, **static}, shift)
            assert got is not None
            error = abs(got[0].astype(np.float64) - expected)
            assert (error <= EPSILON[dtype] * abs(expected) + 2.0**-18 * size).all(), name
            assert before is None or before == got[0].tobytes(), "an address changes bits"
            before = got[0].tobytes()


def test_what_a_kernel_does_not_take() -> None:
    x, w = np.ones((1, 5, 5, 2), "f"), np.ones((3, 3, 2), "f")
    window = {"window": Window((3, 3), (1, 1))}
    g = np.ones((1, 3, 3, 2), "f")
    assert run("depthwise_conv2d_weight_grad", (w,), (x, g), window) is not None
    assert run("depthwise_conv2d_weight_grad", (w,), (x[:0], g[:0]), window) is None
    assert run("depthwise_conv2d_weight_grad", (w,), (x.astype("d"), g), window) is None
    assert run("depthwise_conv2d", (g,), (x, w.astype("d")), window) is None
