"""The kernels for products on the GPU: what they take, add and launch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gemm_ways import SINGLE, double, normal, value
from gpudl.kernels import precision, registry
from gpudl.kernels.cuda import gemm, launch, matmul
from gpudl.kernels.geometry import Window
from strict_cupy import capture, installed


@pytest.fixture
def cupy() -> Iterator[Any]:
    with double() as cupy:
        yield cupy


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}


def fused(name: str, arrays: Any, stages: Any) -> Callable[..., None]:
    kernel = registry.find(name, "cuda", arrays, {"stages": stages})
    assert kernel is not None
    return kernel


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_chain_adds_the_bias_and_applies_the_activation(cupy: Any, activation: str) -> None:
    rng = np.random.default_rng(3)
    window = Window((2, 2), (1, 1))
    for k in (5, 700):  # in one part and in several
        a, b, bias = (normal(rng, np.dtype("f"), *shape) for shape in ((3, k), (k, 7), (7,)))
        out = cupy.asarray(np.full((3, 7), np.nan, "f"))
        arrays, stages = (out, *map(cupy.asarray, (a, b, bias))), ({}, {"activation": activation})
        fused("matmul+bias_activation", arrays, stages)(*arrays, stages=stages)
        exact = ACTIVATIONS[activation](a.astype("d") @ b + bias)
        np.testing.assert_allclose(out.get(), exact, rtol=1e-5, atol=k * 2.0**-20)
    x, w = normal(rng, np.dtype("f"), 2, 3, 4, 1), normal(rng, np.dtype("f"), 2, 2, 1, 7)
    out = cupy.asarray(np.full((2, 2, 3, 7), np.nan, "f"))
    arrays, stages = (out, *map(cupy.asarray, (x, w, bias))), ({"window": window}, {"activation": activation})
    fused("conv2d+bias_activation", arrays, stages)(*arrays, stages=stages)
    exact = ACTIVATIONS[activation](value(x.astype("d"), w.astype("d"), window) + bias)
    np.testing.assert_allclose(out.get(), exact, rtol=1e-5, atol=1e-5)


def test_what_is_not_a_number_stays_none(cupy: Any) -> None:
    a, b = np.array([[np.nan], [np.inf], [-np.inf]], "f"), np.ones((1, 7), "f")
    for activation, expected in (("relu", [np.nan, np.inf, 0]), ("sigmoid", [np.nan, 1, 0]), ("tanh", [np.nan, 1, -1])):
        out = cupy.asarray(np.zeros((3, 7), "f"))
        arrays, stages = (out, *map(cupy.asarray, (a, b, np.zeros(7, "f")))), ({}, {"activation": activation})
        fused("matmul+bias_activation", arrays, stages)(*arrays, stages=stages)
        np.testing.assert_array_equal(out.get(), np.repeat(np.array(expected, "f")[:, None], 7, 1))


def test_what_the_kernels_take(cupy: Any) -> None:
    window = Window((2, 2), (1, 1))
    x, w, y = (cupy.zeros(shape, np.float32) for shape in ((1, 4, 4, 1), (2, 2, 1, 7), (1, 3, 3, 7)))
    static: dict[str, dict[str, Any]] = {
        "conv2d": {"window": window},
        "conv2d_input_grad": {"window": window, "shape": x.shape},
        "conv2d_weight_grad": {"window": window},
    }
    for name, arrays in (("conv2d", (y, x, w)), ("conv2d_input_grad", (x, y, w)), ("conv2d_weight_grad", (w, x, y))):
        for algorithm, taken in (("auto", True), ("implicit", True), ("im2col", False), ("winograd", False)):
            found = registry.find(name, "cuda", arrays, static[name] | {"algorithm": algorithm})
            assert (found is not None) == taken, (name, algorithm)
        mixed = (arrays[0].astype(np.float64), *arrays[1:])
        assert registry.find(name, "cuda", mixed, static[name]) is None
        assert (
            registry.find(name, "cuda", (arrays[0], arrays[1].transpose(0, 2, 1, 3), arrays[2]), static[name]) is None
        )
    bias, stages = cupy.zeros(7, np.float64), ({"window": window}, {"activation": "relu"})
    assert registry.find("conv2d+bias_activation", "cuda", (y, x, w, bias), {"stages": stages}) is None


def test_big_products_are_for_cublas(cupy: Any) -> None:
    for n, mine in ((1024, False), (1023, True), (8, True)):
        m, k = 1024, 1024
        out, a, b = (cupy.empty(shape, np.float32) for shape in ((m, n), (m, k), (k, n)))
        assert (registry.find("matmul", "cuda", (out, a, b), {}) is matmul.matmul) == mine
    batch = cupy.zeros((2, 3, 3), np.float32)
    assert registry.find("matmul", "cuda", (batch, batch, batch), {}) is not matmul.matmul


def test_a_pack_is_as_wide_as_the_addresses_allow(cupy: Any) -> None:
    base = cupy.asarray(np.ones(200, np.float32))
    out, b = cupy.empty((4, 4), np.float32), cupy.asarray(np.ones((8, 4), np.float32))
    for shift in (0, 1):
        out.fill(np.nan)
        matmul.matmul(out, base[shift : shift + 32].reshape(4, 8), b)
        np.testing.assert_array_equal(out.get(), np.full((4, 4), 8, "f"))
    packs = [(dict(key[3:])["GPUDL_PACK_A"], dict(key[3:])["GPUDL_PACK_B"]) for key in launch._kernels]
    assert packs == [(4, 4), (1, 4)]


def test_a_product_is_one_launch_or_two_with_scratch_and_is_capturable(cupy: Any, monkeypatch: Any) -> None:
    rng = np.random.default_rng(5)
    a, b = normal(rng, np.dtype("f"), 3, 401), normal(rng, np.dtype("f"), 401, 7)
    for splits in (1, 4):
        monkeypatch.setattr(gemm, "choose", lambda *asked, splits=splits: (SINGLE[3], splits))
        with installed() as meter:
            out, left, right = cupy.empty((3, 7), np.float32), cupy.asarray(a), cupy.asarray(b)
            matmul.matmul(out, left, right)
            expected = out.get()
            meter.reset()
            matmul.matmul(out, left, right)
            assert (meter.host_to_device, meter.device_to_host, meter.synchronizations) == (0, 0, 0)
            assert meter.launches == (1 if splits == 1 else 2)
            out.fill(0)
            with capture() as graph:
                matmul.matmul(out, left, right)
            assert not out.get().any()
            graph.launch()
            np.testing.assert_array_equal(out.get(), expected)


def test_without_a_compiler_the_reference_does_the_work(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "source", lambda file: '#error "no such compiler"')
    out, a, b = (cupy.zeros((3, 3), np.float32) for _ in range(3))
    with pytest.warns(RuntimeWarning, match=r"(?s)could not compile matmul.cu.*no such compiler"):
        assert not matmul.supports_matrices(out, a, b)
    with pytest.raises(RuntimeError, match=r"matmul of matmul.cu does not compile here; check `supports` first"):
        matmul.matmul(out, a, b)


def test_tensor_cores_are_asked_for_what_they_multiply(cupy: Any) -> None:
    chosen = {name: [gemm.on_tensor_cores(name, c) for c in (70, 75, 80, 120)] for name in ("float16", "bfloat16")}
    assert chosen == {"float16": [False, True, True, True], "bfloat16": [False, False, True, True]}
    assert not any(gemm.on_tensor_cores(name, 90) for name in ("float32", "float64"))
    precision.choose("high", "a test")
    assert [gemm.on_tensor_cores("float32", c) for c in (75, 80)] == [False, True]
