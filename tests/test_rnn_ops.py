"""LSTM and GRU as ops, beyond their contract: steps that are masked, and gradients of some of their results."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cuda_cpu import optimized
from gpudl.kernels import registry
from strict_cupy import installed

import gpudl
from gpudl import backend
from gpudl.engine.state import reference_only
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives.rnn import gru, lstm

BATCH, TIME, UNITS = 7, 5, 9
Run = Callable[..., tuple[Tensor, ...]]
OPS: dict[str, tuple[Run, int, int]] = {"lstm": (lstm, 4, 2), "gru": (gru, 3, 1)}  # blocks of the kernel, and states
each_op = pytest.mark.parametrize("name", OPS)


@pytest.fixture(params=[False, True], ids=["kernel", "reference"], autouse=True)
def _computed_by(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param:
        with reference_only():
            yield
    else:
        yield


def inputs(name: str, dtype: str = "float32") -> list[Tensor]:
    """Return x, the kernel, the bias and the states of an op, and an empty mask."""
    _, blocks, states = OPS[name]
    rng, width = np.random.default_rng(0), blocks * UNITS
    shapes = [(BATCH, TIME, width), (UNITS, width), (width,), *[(BATCH, UNITS)] * states]
    made = [Tensor((rng.standard_normal(shape) / 2).astype(dtype)) for shape in shapes]
    for tensor in made:
        tensor.requires_grad = True
    return [*made, Tensor(np.ones((BATCH, TIME), bool))]


def slopes(outs: tuple[Tensor, ...], wrt: list[Tensor], number: int) -> list[np.ndarray]:
    """Return the gradients of the sum of the squares of one result."""
    found = gpudl.grad(gpudl.ops.sum(outs[number] * outs[number]), wrt)
    return [g.numpy() for g in found if g is not None]


@pytest.mark.parametrize("reverse", [False, True])
@each_op
def test_what_masked_steps_hold_does_not_matter(name: str, reverse: bool) -> None:
    run, *_ = OPS[name]
    x, *others, mask = inputs(name)
    mask.data[...] = np.random.default_rng(1).random((BATCH, TIME)) < 0.6
    counts = mask.numpy()[..., None]
    results = []
    for filler in (0.0, np.nan):
        filled = Tensor(np.where(counts, x.numpy(), np.float32(filler)))
        filled.requires_grad = True
        outs = run(filled, *others, mask, reverse=reverse)
        wrt = [filled, *others]
        results.append([o.numpy() for o in outs[: len(others) - 1]] + slopes(outs, wrt, 0) + slopes(outs, wrt, 1))
    for plain, with_nan in zip(*results, strict=True):
        assert np.isfinite(plain).all()
        np.testing.assert_array_equal(plain, with_nan)


@each_op
def test_a_masked_step_keeps_the_state(name: str) -> None:
    run, *_ = OPS[name]
    *given, mask = inputs(name)
    mask.data[:, 1] = mask.data[2] = False
    hs, last, *_ = run(*given, mask)
    np.testing.assert_array_equal(hs.numpy()[:, 1], hs.numpy()[:, 0])
    np.testing.assert_array_equal(hs.numpy()[2], np.repeat(given[3].numpy()[2:3], TIME, axis=0))
    np.testing.assert_array_equal(last.numpy(), hs.numpy()[:, -1])


@each_op
def test_reverse_is_the_op_on_reversed_steps(name: str) -> None:
    run, *_ = OPS[name]
    x, *others = inputs(name)
    hs, last, *_ = run(x, *others, reverse=True)
    turned, final, *_ = run(Tensor(x.numpy()[:, ::-1].copy()), *others)
    np.testing.assert_array_equal(hs.numpy(), turned.numpy()[:, ::-1])
    np.testing.assert_array_equal(last.numpy(), final.numpy())


@each_op
def test_the_gradient_of_the_last_state_is_that_of_the_last_of_all(name: str) -> None:
    run, *_ = OPS[name]
    *wrt, mask = inputs(name)
    hs, last, *_ = run(*wrt, mask)
    whole = gpudl.grad(gpudl.ops.sum(hs[:, -1] * hs[:, -1]), wrt)
    for one, other in zip(gpudl.grad(gpudl.ops.sum(last * last), wrt), whole, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@each_op
def test_huge_gates_saturate(name: str) -> None:
    run, *_ = OPS[name]
    x, *others = inputs(name)
    huge = Tensor(np.where(x.numpy() > 0, np.float32(1e30), np.float32(-np.inf)))
    outs = run(huge, *others)
    assert np.isfinite(outs[0].numpy()).all()
    assert set(np.unique(np.abs(outs[-1 if name == "gru" else 3].numpy()[..., :UNITS].round(6)))) == {0, 1}


def test_float32_has_kernels_and_float64_the_references() -> None:
    found = registry.registered("cpu")
    for name in ("lstm", "lstm_grad", "gru", "gru_grad", "recurrent_kernel_grad"):
        (kernel,) = found[name]
        for dtype in ("float32", "float64"):
            arrays = [np.ones((2, 600, 3), dtype)] * 4
            assert kernel.supports(*arrays) == (dtype == "float32")


@pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
@each_op
def test_a_step_on_the_double_is_captured_and_transfers_nothing(name: str) -> None:
    run, *_ = OPS[name]
    counts = np.random.default_rng(1).random((BATCH, TIME)) < 0.7

    def step(*given: Tensor) -> list[Tensor]:
        hs, *_ = run(*given, reverse=True)
        return [hs, *gpudl.grad(gpudl.ops.sum(hs * hs), list(given[:-1]))]

    expected = [g.numpy() for g in step(*inputs(name)[:-1], Tensor(counts))]
    with optimized(), installed() as meter:
        backend.use("cupy")
        given = [gpudl.Variable(a) for a in (*(tensor.numpy() for tensor in inputs(name)[:-1]), counts)]
        traced = gpudl.traced(step)
        for _ in range(3):  # recorded, captured, launched as a graph
            before = meter.host_to_device, meter.device_to_host
            results = traced.run(*given)
        assert (meter.host_to_device, meter.device_to_host) == before
        found = [tensor.numpy() for tensor in results]
        eager = [tensor.numpy() for tensor in step(*given)]
    for one, same, other in zip(found, eager, expected, strict=True):
        np.testing.assert_array_equal(one, same)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * np.abs(other).max())
