"""Kernels that claim several ops at once compute what these do one after another, to the bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from chain_cases import CASES, SUMS, Arrays, Stages
from contract_cases.check import dirty
from gpudl.kernels import registry
from gpudl.kernels.cpu import conv_implicit_weights, conv_phases
from gpudl.kernels.cpu.machine import layout
from gpudl.kernels.geometry import Window
from thread_tools import COUNTS, workers

from gpudl.engine.spec import Spec
from gpudl.engine.state import reference_only

SEEDS = range(12)
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], np.float32)
every_chain, every_sum = pytest.mark.parametrize("name", CASES), pytest.mark.parametrize("name", SUMS)


@pytest.fixture(params=["large", "small"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut images into blocks of the usual size, which holds several, and of a small one, which holds a few rows."""
    if request.param == "small":
        monkeypatch.setattr(layout, "BLOCK_FLOATS", 1 << 9)
        monkeypatch.setattr(conv_implicit_weights, "_PIXELS", 1)  # of a part of the images
    for cached in (layout.layout, conv_phases.phases):
        cached.cache_clear()
    yield
    for cached in (layout.layout, conv_phases.phases):
        cached.cache_clear()


def fused(name: str, inputs: Arrays, stages: Stages, like: Arrays) -> Arrays | None:
    """Return what the kernel of a chain makes of copies of `inputs`, or None if none takes them."""
    outs, copies = dirty(tuple(Spec(a.shape, a.dtype) for a in like)), tuple(a.copy() for a in inputs)
    kernel = registry.find(name, "cpu", (*outs, *copies), {"stages": stages})
    if kernel is None:
        return None
    kernel(*outs, *copies, stages=stages)
    assert_same(copies, inputs)
    return outs


def bits(array: np.ndarray) -> bytes:
    """Return the bits of an array; those of a NaN, which depend on the order of two operands, are made the same."""
    return (np.where(np.isnan(array), np.float32("nan"), array) if array.dtype.kind == "f" else array).tobytes()


def assert_same(got: Arrays, expected: Arrays) -> None:
    assert [(a.shape, a.dtype) for a in got] == [(a.shape, a.dtype) for a in expected]
    for one, other in zip(got, expected, strict=True):
        assert bits(one) == bits(other)


def test_every_chain_has_a_case() -> None:
    assert set(CASES) == {name for name in registry.registered("cpu") if "+" in name}


@every_sum
@pytest.mark.usefixtures("blocks")
def test_a_chain_agrees_with_the_references(name: str) -> None:
    taken = 0
    for seed in SEEDS:
        inputs, stages = CASES[name].draw(np.random.default_rng(seed), "implicit")
        got = fused(name, inputs, stages, CASES[name].composed(inputs, stages))
        if got is None:
            continue
        taken += 1
        exact_inputs = tuple(a.astype(np.float64) if a.dtype == np.float32 else a for a in inputs)
        with reference_only():
            exact = CASES[name].composed(exact_inputs, stages)
            size = CASES[name].composed(tuple(map(np.abs, exact_inputs)), stages)
        limit = np.finfo(np.float32).eps * CASES[name].roundings(*inputs)
        for out, value, magnitude in zip(got, exact, size, strict=True):
            if out.dtype == np.float32:  # the taps are compared below, where equal values are equal
                assert out.shape == value.shape
                assert (np.abs(out - value) <= limit * magnitude).all()
    assert taken >= len(SEEDS) // 3


@every_chain
@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("algorithm", ["auto", "implicit"])
def test_a_chain_has_the_bits_of_its_ops(name: str, algorithm: str, special: bool) -> None:
    taken = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        inputs, stages = CASES[name].draw(rng, algorithm)
        for array in inputs if special else ():
            if array.dtype == np.float32:
                few = rng.random(array.shape) < 0.02
                array[few] = rng.choice(SPECIAL, few.sum())
        with np.errstate(invalid="ignore"):
            expected = CASES[name].composed(inputs, stages)
            got = fused(name, inputs, stages, expected)
        if got is not None:
            taken += 1
            assert_same(got, expected)
    assert taken


@every_chain
@pytest.mark.usefixtures("blocks")
def test_the_bits_do_not_depend_on_threads(name: str) -> None:
    for seed in SEEDS:
        inputs, stages = CASES[name].draw(np.random.default_rng(seed), "auto")
        like = CASES[name].composed(inputs, stages)
        alone = fused(name, inputs, stages, like)
        for count in COUNTS if alone is not None else ():
            with workers(count):
                assert_same(fused(name, inputs, stages, like), alone)


@every_sum
def test_other_arrays_and_activations_are_not_taken(name: str) -> None:
    inputs, stages = next(
        (inputs, stages)
        for inputs, stages in (CASES[name].draw(np.random.default_rng(seed), "implicit") for seed in SEEDS)
        if fused(name, inputs, stages, CASES[name].composed(inputs, stages)) is not None
    )
    for dtype in (np.float16, np.float64):
        others = tuple(a.astype(dtype) if a.dtype == np.float32 else a for a in inputs)
        assert fused(name, others, stages, CASES[name].composed(others, stages)) is None
    smooth = tuple({"activation": "tanh"} if "activation" in static else static for static in stages)
    assert fused(name, inputs, smooth, CASES[name].composed(inputs, smooth)) is None


def test_windows_that_share_pixels_are_not_joined() -> None:
    x, w, b = (np.ones(shape, np.float32) for shape in ((1, 9, 9, 1), (3, 3, 1, 4), (4,)))
    pool = {"window": Window((3, 3), (2, 2))}
    chain, stages = (
        "conv2d+bias_activation+max_pool",
        ({"window": Window((3, 3), (1, 1))}, {"activation": "relu"}, pool),
    )
    assert fused(chain, (x, w, b), stages, CASES[chain].composed((x, w, b), stages)) is None
    g, taps = np.ones((1, 3, 3, 4), np.float32), np.zeros((1, 3, 3, 4), np.uint8)
    chain, stages = "activation_grad+max_pool_grad", ({"activation": "relu"}, {**pool, "shape": (1, 7, 7, 4)})
    assert fused(chain, (g, g, taps), stages, CASES[chain].composed((g, g, taps), stages)) is None


@pytest.mark.parametrize("shape", [(4,), (1, 1, 1, 4), (1, 4, 1, 1), ()])
def test_only_the_gradient_of_one_bias_a_filter_is_joined(shape: tuple[int, ...]) -> None:
    chain = "activation_grad+max_pool_grad+(sum_to,conv2d_weight_grad)"
    window, pool = Window((2, 2), (1, 1)), Window((2, 2), (2, 2))
    stages = (
        {"activation": "relu"},
        {"shape": (2, 4, 4, 4), "window": pool},
        {"shape": shape},
        {"window": window, "algorithm": "implicit"},
    )
    g, x = np.ones((2, 2, 2, 4), np.float32), np.ones((2, 5, 5, 1), np.float32)
    inputs = (g, g, np.zeros(g.shape, np.uint8), x)
    got = fused(chain, inputs, stages, CASES[chain].composed(inputs, stages))
    assert (got is not None) == (shape == (4,))
