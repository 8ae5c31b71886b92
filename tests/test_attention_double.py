"""Attention on the strict double of CuPy: a step transfers nothing, and gives what NumPy gives."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from strict_cupy import installed
from test_attention_layers import small
from test_gpu_double import Costs

import gpudl
from gpudl import backend

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")


def data() -> tuple[np.ndarray, np.ndarray]:
    words = np.random.default_rng(0).integers(0, 9, (8, 6))
    words[:, 0] = 1
    return words, np.random.default_rng(1).random((8, 6, 3), np.float32)


def trained(*callbacks: gpudl.callbacks.Callback) -> tuple[gpudl.Model, list[float]]:
    gpudl.utils.set_random_seed(1)
    model = small()
    options = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0}
    return model, model.fit(*data(), callbacks=list(callbacks), **options).history["loss"]


def test_a_step_transfers_nothing_and_gives_what_numpy_gives() -> None:
    _, expected = trained()
    with installed() as meter:
        backend.use("cupy")
        costs = Costs(meter)
        model, found = trained(costs)
        # The first step of a pass is recorded again, and its constants, such as a causal mask, are compared.
        assert set(costs.steps[1::2]) == {(0, 0, 0)}, costs.steps
        outcomes = [entry.plan.outcome for entry in model._train.entries.values()]
        assert all(outcome.captured for outcome in outcomes), outcomes
    np.testing.assert_allclose(found, expected, rtol=1e-4)
