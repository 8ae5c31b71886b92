"""Mixed precision on the strict double of CuPy: what NumPy gives, and no word between host and device in a step."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from strict_cupy import DevArray, installed
from test_gpu_double import BATCH, Costs, data, flat_weights, seeded

import gpudl
from gpudl import backend

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")

EPSILON = {"mixed_float16": 2.0**-10, "mixed_bfloat16": 2.0**-7}


@pytest.fixture(autouse=True, params=EPSILON)
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    gpudl.config.set_dtype_policy(request.param)
    yield request.param
    gpudl.config.set_dtype_policy(None)


def trained(*, eagerly: bool = False) -> tuple[np.ndarray, np.ndarray, gpudl.Sequential]:
    model, (x, y) = seeded("regularized", eagerly=eagerly), data("regularized")
    history = model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0)
    return flat_weights(model), np.array(history.history["loss"]), model


def test_a_training_gives_what_numpy_gives(policy: str) -> None:
    expected, losses, _ = trained()
    with installed():
        backend.use("cupy")
        replayed, eager = trained(), trained(eagerly=True)
        assert all(isinstance(v.data, DevArray) for v in replayed[2].optimizer.variables)
        outcomes = [entry.plan.outcome for entry in replayed[2]._train.entries.values()]
        assert outcomes
        assert all(outcome.captured for outcome in outcomes), outcomes
    for one, other in zip(replayed[:2], eager[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    # A rounding of 16 bits in each of eight layers, where the last bits of a sum differ.
    bound = 8 * EPSILON[policy]
    assert np.linalg.norm(replayed[0] - expected) < bound * np.linalg.norm(expected)
    np.testing.assert_allclose(replayed[1], losses, rtol=bound)


@pytest.mark.parametrize("eagerly", [False, True], ids=["replayed", "eager"])
def test_a_step_transfers_nothing_and_waits_for_nothing(eagerly: bool) -> None:
    with installed() as meter:
        backend.use("cupy")
        model, (x, y) = seeded("regularized", eagerly=eagerly), data("regularized")
        costs = Costs(meter)
        model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0, callbacks=[costs])
        assert set(costs.steps[3:]) == {(0, 0, 0)}
        assert costs.epochs[1:] == [(1, 2, 2)] * 2
