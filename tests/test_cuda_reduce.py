"""Sums, maxima and means in CUDA C++, on the strict double."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_kernels import Placed, meter
from gpudl.kernels import registry as kernels
from gpudl.kernels.cuda import reduce
from gpudl.kernels.geometry import Window
from reduction_runs import agrees, outs_of, run

from gpudl.engine.op import registry

__all__ = ["meter"]
pytestmark = pytest.mark.usefixtures("meter")
F4 = np.float32


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(F4)


@pytest.mark.parametrize("name", ["sum", "sum_to", "max", "max_grad", "argmax"])
def test_a_kernel_agrees_with_the_oracle(name: str) -> None:
    assert agrees(name, draws=8) > 12


LARGE = [
    ((40_000,), None),
    ((3, 9000), -1),
    ((2, 40_004), -1),
    ((7000, 3), 0),
    ((300, 8), 0),
    ((9000, 40), 0),
    ((2, 60, 50, 12), (1, 2)),
    ((300, 5, 70), (0, 1)),
    ((1000, 3), -1),
]


@pytest.mark.parametrize(("shape", "axis"), LARGE)
@pytest.mark.parametrize("name", ["sum", "max"])
def test_every_way_to_share_out_the_work(name: str, shape: tuple[int, ...], axis: Any) -> None:
    x, static = noise(*shape), {"axis": axis}
    exact = getattr(np, name)(x.astype(np.float64), axis=axis)
    results = [run(name, outs_of(name, (x,), static), (x,), static, by) for by in (0, 1)]
    assert results[0] is not None
    assert results[1] is not None
    assert results[0][0].tobytes() == results[1][0].tobytes()
    np.testing.assert_allclose(results[0][0], exact, rtol=1e-5, atol=1e-3 if name == "sum" else 0)


def test_large_arrays_of_halves_are_added_up_in_single_precision() -> None:
    x = np.ones((9000, 16), np.float16)
    x[0] = 40
    for static, exact in (({"axis": 0}, np.full(16, 9039.0)), ({}, np.array(np.inf))):
        got = run("sum", outs_of("sum", (x,), static), (x,), static)
        assert got is not None
        np.testing.assert_allclose(got[0], exact.astype(np.float16))
    got = run("max", outs_of("max", (x,), {}), (x,), {})
    assert got is not None
    assert got[0] == 40


def test_the_shapes_reach_one_and_two_stages() -> None:
    found = {
        (group[2] > 1, len(list(reduce._stages("sum", group, np.dtype(F4)))))
        for shape, axis in LARGE
        if (group := reduce.along(shape, axis)) is not None
    }
    assert found == {(columns, stages) for columns in (False, True) for stages in (1, 2)}


@pytest.mark.parametrize("shape", [(2, 5, 3, 7), (3, 7, 7, 8), (1, 1, 1, 4), (2, 4, 4, 1), (1, 120, 90, 3)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_pooling_of_whole_images(shape: tuple[int, ...], dtype: str) -> None:
    x, window = noise(*shape).astype(dtype), Window(shape[1:3], shape[1:3])
    y = np.empty((shape[0], 1, 1, shape[3]), dtype)
    for name, out, given, static in (
        ("avg_pool", y, x, {"window": window}),
        ("avg_pool_grad", x, noise(*y.shape).astype(dtype), {"window": window, "shape": shape}),
    ):
        kernel = kernels.find(name, "cuda", (Placed(out).array, Placed(given).array), static)
        assert isinstance(kernel, reduce.Reduction)
        got = run(name, (out,), (given,), static)
        exact = np.empty(out.shape)
        registry[name].forward(np, exact, given.astype(np.float64), **static)
        assert got is not None
        np.testing.assert_allclose(got[0], exact, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


def test_other_windows_are_pooled_by_others() -> None:
    x = Placed(np.zeros((1, 4, 4, 2), F4)).array
    for window in (Window((4, 2), (1, 1)), Window((4, 4), (1, 1), "same"), Window((2, 2), (1, 1), dilation=(3, 3))):
        y = Placed(np.empty((1, *window.output((4, 4)), 2), F4)).array
        assert not isinstance(kernels.find("avg_pool", "cuda", (y, x), {"window": window}), reduce.Reduction)


@pytest.mark.parametrize("name", ["sum", "max"])
def test_numbers_that_are_none(name: str) -> None:
    x = noise(6, 37)
    x[0, 5], x[1, 9], x[2, 3], x[3, 1:3] = np.nan, np.inf, -np.inf, (np.inf, -np.inf)
    x[4] = -np.inf
    for axis in (0, 1):
        with np.errstate(invalid="ignore"):
            exact = getattr(np, name)(x, axis=axis)
        got = run(name, (exact,), (x,), {"axis": axis})
        assert got is not None
        np.testing.assert_allclose(got[0], exact, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 5), (1, 3, 5)])
def test_one_term_is_its_own_sum_and_maximum(shape: tuple[int, ...]) -> None:
    x = noise(*shape)
    for name, static in (("sum", {"axis": 0}), ("max", {"axis": 0}), ("sum_to", {"shape": shape[1:]})):
        got = run(name, (x[0],), (x,), static)
        assert got is not None
        np.testing.assert_array_equal(got[0], x[0])


def test_what_a_kernel_does_not_take() -> None:
    x = noise(3, 4, 5)
    assert run("sum", (x[0, :, 0],), (x,), {"axis": (0, 2)}) is None
    assert run("sum", (np.zeros(4, int),), (np.ones((3, 4), int),), {"axis": 0}) is None
    assert run("argmax", (np.zeros(4, int),), (x[:, :, 0],), {"axis": 0}) is None
