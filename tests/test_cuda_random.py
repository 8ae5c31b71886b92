"""Random numbers and dropout on the GPU: the references' bits."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels import Placed, agrees, meter, one_launch_and_no_transfer, run
from gpudl.kernels import registry
from gpudl.kernels.cuda import launch, random
from strict_cupy import Meter, capture

from gpudl.engine.op import registry as ops

__all__ = ["meter"]

OPS = ("random_uniform", "random_normal", "dropout", "advance_")
KEY = np.array([7, 2**31, 3, 5], np.uint32)
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 14, 1023, 1030)


@pytest.mark.parametrize("op", OPS)
def test_kernels_agree_with_the_cases(op: str, meter: Meter) -> None:
    assert agrees(op, draws=2) >= 4
    one_launch_and_no_transfer(meter, op)


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_the_bits_are_those_of_the_references(shift: int, meter: Meter) -> None:
    for size in SIZES:
        expected = np.empty(size, np.float32)
        ops["random_uniform"].forward(np, expected, KEY, shape=(size,))
        out = np.full(size, np.nan, np.float32)
        (got,) = run(random.random_uniform, (out,), (KEY,), {"shape": (size,)}, shift=shift)
        np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dropout_is_exact_and_stops_what_is_not_finite(dtype: str, meter: Meter) -> None:
    kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
    for size in SIZES:
        x = np.random.default_rng(size).normal(size=size).astype(kind)
        x[::3] = np.nan
        expected = np.empty_like(x)
        ops["dropout"].run((expected,), (x, KEY), {"rate": 0.4})
        for shift in (0, 1):
            (got,) = run(random.dropout, (np.full_like(x, 7),), (x, KEY), {"rate": 0.4}, shift=shift)
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got.astype(float), expected.astype(float))  # NumPy knows no NaN of bfloat16


def test_normal_numbers_keep_to_the_reference(meter: Meter) -> None:
    for size in SIZES:
        expected = np.empty(size, np.float32)
        ops["random_normal"].forward(np, expected, KEY, shape=(size,))
        (got,) = run(random.random_normal, (np.full(size, np.nan, np.float32),), (KEY,), {"shape": (size,)})
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6, strict=True)


def test_blocks_are_counted_in_64_bits(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_MOST_INT", -1)
    expected = np.empty(9, np.float32)
    ops["random_uniform"].forward(np, expected, KEY, shape=(9,))
    (got,) = run(random.random_uniform, (np.empty_like(expected),), (KEY,), {"shape": (9,)})
    np.testing.assert_array_equal(got, expected)


def test_a_graph_draws_anew_with_every_state(meter: Meter) -> None:
    state, out = Placed(np.array([1, 2, 2**32 - 1, 0], np.uint32)), Placed(np.zeros(8, np.float32))
    with capture() as graph:
        random.random_uniform(out.array, state.array, shape=(8,))
        random.advance_(state.array)
    for low, high in ((2**32 - 1, 0), (0, 1), (1, 1)):
        expected = np.empty(8, np.float32)
        key = np.array([1, 2, low, high], np.uint32)
        ops["random_uniform"].forward(np, expected, key, shape=(8,))
        np.testing.assert_array_equal(state.value(), key)
        graph.launch()
        np.testing.assert_array_equal(out.value(), expected)


def test_what_is_not_taken(meter: Meter) -> None:
    x, key = Placed(np.ones(4, np.float32)).array, Placed(KEY).array
    assert registry.find("dropout", "cuda", (x, x, key), {"rate": 0.5}) is not None
    assert registry.find("dropout", "cuda", (x, x, key), {"rate": 1}) is None
    assert registry.find("dropout", "cuda", (x, x, x), {"rate": 0.5}) is None
    assert registry.find("dropout", "cuda", (x[::2], x[::2], key), {"rate": 0.5}) is None
    assert registry.find("dropout", "cuda", (x, x.astype(float), key), {"rate": 0.5}) is None
    assert registry.find("random_uniform", "cuda", (x.astype(float), key), {"shape": (4,)}) is None
    assert registry.find("advance_", "cuda", (x,), {}) is None


def test_a_kernel_that_does_not_compile_says_so(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "source", lambda file: '#error "no such compiler"')
    x, key = Placed(np.ones(4, np.float32)).array, Placed(KEY).array
    with pytest.warns(RuntimeWarning, match=r"could not compile random.cu"):
        assert registry.find("dropout", "cuda", (x, x, key), {"rate": 0.5}) is None
    with pytest.raises(RuntimeError, match=r"dropout of random.cu does not compile here; check `supports` first"):
        random.dropout(x, x, key, rate=0.5)
    with pytest.raises(RuntimeError, match=r"advance of random.cu does not compile here; check `supports` first"):
        random.advance_(key)
