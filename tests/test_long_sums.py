"""Sums of any length are right to a relative error of 1e-6, by the references and by the kernels of both devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_kernels import Placed, meter, run
from gpudl.kernels import registry as registry_of_kernels
from long_sums import CASES, Case

import gpudl
from gpudl.engine.op import registry
from gpudl.engine.state import reference_only
from gpudl.engine.tensor import Tensor

__all__ = ["meter"]
ACCURATE = 1e-6


def outs_of(case: Case, dtype: Any) -> tuple[np.ndarray, ...]:
    specs = registry[case.op].specs(tuple(map(Tensor, case.inputs)), case.static)
    return tuple(np.zeros(spec.shape, dtype) for spec in specs)


def exact(case: Case) -> tuple[np.ndarray, ...]:
    """Return what the reference computes of the same numbers in float64."""
    outs = outs_of(case, np.float64)
    inputs = (a.astype(np.float64) if a.dtype == np.float32 else a for a in case.inputs)
    registry[case.op].forward(np, *outs, *inputs, **case.static)
    return outs


def assert_accurate(case: Case, got: tuple[np.ndarray, ...]) -> None:
    expected = exact(case)
    for number in case.outs:
        error = np.max(np.abs(got[number].astype(np.float64) - expected[number]) / np.abs(expected[number]).max())
        assert error < ACCURATE, f"out {number} is off by {error}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_references_and_kernels_add_up(case: Case) -> None:
    for by in (reference_only, gpudl.engine.state.unfused):
        outs = outs_of(case, np.float32)
        with by():
            registry[case.op].run(outs, case.inputs, case.static)
        assert_accurate(case, outs)


@pytest.mark.usefixtures("meter")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_kernels_for_gpus_add_up(case: Case) -> None:
    outs = outs_of(case, np.float32)
    arrays = tuple(Placed(a).array for a in (*outs, *case.inputs))
    kernel = registry_of_kernels.find(case.op, "cuda", arrays, case.static)
    if kernel is None:
        assert case.static.get("axis") == (0, 2) or case.static.get("shape") == (3, 1)  # axes that are no neighbours
        return
    assert_accurate(case, run(kernel, outs, case.inputs, case.static))


@pytest.mark.parametrize("length", [1, 7, 33, 63, 64, 65, 100, 128, 1000])
def test_short_sums_are_right_too(length: int) -> None:
    for shape, axis in (
        ((3, length), 1),
        ((300, length), 1),
        ((length, 3), 0),
        ((2, length, 70), 1),
        ((9000, length), 1),
    ):
        x = np.random.default_rng(length).normal(size=shape).astype(np.float32)
        exact = x.sum(axis=axis, dtype=np.float64)
        for _ in range(2):
            out = np.full(exact.shape, np.nan, np.float32)
            registry["sum"].run((out,), (x,), {"axis": axis})
            np.testing.assert_allclose(out, exact, rtol=1e-7, atol=1e-12)
