"""Batch and layer normalization in CUDA C++, on the strict double."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chain_cases import CASES
from contract_cases.check import assert_same
from cuda_kernels import meter
from gpudl.kernels.cuda import norm
from reduction_runs import Arrays, agrees, outs_of, run

from gpudl.engine.op import registry

__all__ = ["meter"]
pytestmark = pytest.mark.usefixtures("meter")
NAMES = ("batch_norm", "batch_norm_grad", "scale_shift", "layer_norm", "layer_norm_grad")
CHAINS = ("batch_norm+relu", "scale_shift+relu", "activation_grad+batch_norm_grad")
F4 = np.float32
EPSILON = {"epsilon": 1e-3}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(F4)


def inputs_of(name: str, x: np.ndarray) -> Arrays:
    c, lead = x.shape[-1], x.shape[:-1]
    statistics = lead if name.startswith("layer") else (c,)
    if name.endswith("grad"):
        each = noise(c, seed=2), noise(*statistics, seed=3), np.abs(noise(*statistics, seed=4))
        return (noise(*x.shape, seed=1), x, *each)
    return (x, *(noise(c, seed=seed) for seed in range(2, 5 if name == "scale_shift" else 4)))


def wanted(name: str, inputs: Arrays, static: dict[str, Any]) -> Arrays:
    """Return what the reference makes of the inputs in float64."""
    wide = tuple(a.astype(np.float64) for a in inputs)
    outs = outs_of(name, wide, static)
    with np.errstate(all="ignore"):
        registry[name].forward(np, *outs, *wide, **static)
    return outs


def static_of(name: str) -> dict[str, Any]:
    return {} if name == "scale_shift" else EPSILON


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_agrees_with_the_oracle(name: str) -> None:
    assert agrees(name, draws=6) > 15


# One block, several tiles, parts of rows; channels that Packs divide and those that they do not.
SHAPES = [(520, 8), (9000, 4), (3, 2000, 10), (700, 200), (4, 3001), (2, 8196), (40_000, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_way_to_share_out_the_work(name: str, shape: tuple[int, ...]) -> None:
    inputs = inputs_of(name, noise(*shape))
    expected = wanted(name, inputs, static_of(name))
    got = run(name, tuple(a.astype(F4) for a in expected), inputs, static_of(name))
    assert got is not None
    for mine, exact in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, exact, rtol=1e-4, atol=1e-5 * (1 + np.abs(exact).max()))


def test_the_shapes_reach_both_ways() -> None:
    parts = {norm.Down(norm.FILE, np.empty(shape, F4)).parts > 1 for shape in SHAPES}
    assert parts == {True, False}


@pytest.mark.parametrize("shape", [(1, 1), (300, 3), (9000, 4), (2000, 33)])
@pytest.mark.parametrize("offset", [0.0, 1e3, -1e6])
def test_variance_is_exact_far_from_zero(shape: tuple[int, ...], offset: float) -> None:
    x = (noise(*shape) + F4(offset)).astype(F4)
    inputs = (x, np.ones(shape[-1], F4), np.zeros(shape[-1], F4))
    _, mean, variance = run("batch_norm", outs_of("batch_norm", inputs, EPSILON), inputs, EPSILON) or ()
    _, exact_mean, exact_variance = wanted("batch_norm", inputs, EPSILON)
    limit = 64 * np.finfo(F4).eps
    assert (np.abs(mean - exact_mean) <= limit + np.spacing(np.abs(mean))).all()
    np.testing.assert_allclose(variance, exact_variance, rtol=limit)


def test_variance_is_exact_when_the_first_row_is_far_off() -> None:
    x = noise(20_000, 4)
    x[0] = 1e5
    inputs = (x, np.ones(4, F4), np.zeros(4, F4))
    _, mean, variance = run("batch_norm", outs_of("batch_norm", inputs, EPSILON), inputs, EPSILON) or ()
    _, exact_mean, exact_variance = wanted("batch_norm", inputs, EPSILON)
    limit = 64 * np.finfo(F4).eps
    assert (np.abs(mean - exact_mean) <= limit * np.sqrt(exact_variance)).all()
    np.testing.assert_allclose(variance, exact_variance, rtol=limit)


def composed(name: str, inputs: Arrays, stages: Any) -> Arrays | None:
    """Return what the kernels of the ops of a chain make of the inputs, one after another."""
    if name == "activation_grad+batch_norm_grad":
        g, y, *rest = inputs
        before = g * (y > 0).astype(g.dtype)
        given = (before, *rest)
        return run("batch_norm_grad", outs_of("batch_norm_grad", given, stages[1]), given, stages[1])
    first = name.partition("+")[0]
    outs = run(first, outs_of(first, inputs, stages[0]), inputs, stages[0])
    assert outs is not None
    return (*outs[1:], np.where(outs[0] <= 0, F4(0), outs[0]))


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # of what is special
def test_a_chain_has_the_bits_of_its_ops(name: str, large: bool) -> None:
    rng = np.random.default_rng(5)
    for turn in range(2 if large else 5):
        inputs, stages = CASES[name].draw(rng, "")
        if name.startswith("activation_grad"):
            stages = ({"activation": "relu"}, stages[1])
        if large:
            inputs = tuple(np.repeat(a[:1], 2000, axis=0) * F4(0.5) if a.ndim > 1 else a for a in inputs)
        if turn % 2:
            inputs[0].flat[0], inputs[0].flat[-1] = np.nan, -np.inf
        expected = composed(name, inputs, stages)
        assert expected is not None
        for by in (0, 1):
            got = run(name, expected, inputs, {"stages": stages}, by)
            assert got is not None
            assert_same(got, expected)


def test_what_a_kernel_does_not_take() -> None:
    x, ones = noise(6, 5), np.ones(5, F4)
    outs = (x, ones, ones)
    assert run("batch_norm", outs, (x, ones, ones.astype(np.float64)), EPSILON) is None
    assert run("batch_norm", (x[:0], ones, ones), (x[:0], ones, ones), EPSILON) is None
    tanh = {"stages": ({"activation": "tanh"}, EPSILON)}
    assert run("activation_grad+batch_norm_grad", outs, (x, x, x, ones, ones, ones), tanh) is None
