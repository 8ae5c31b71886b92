"""Losses and metrics recorded and replayed on the strict double of CuPy give the numbers of the CPU."""

from __future__ import annotations

import shutil
from typing import Any

import loss_cases
import metric_cases
import numpy as np
import pytest
from strict_cupy import installed

import gpudl
from gpudl import backend, losses, metrics

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
METRICS = ("AUC", "MeanIoU")  # buckets, and a table of classes
LOSSES = ("CTC",)  # a loop


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_counts_the_same(name: str) -> None:
    options, batches = list(metric_cases.configurations(name, 2))[1]

    def counted() -> Any:
        metric = getattr(metrics, name)(**options)
        step = gpudl.traced(metric.update_state)
        for batch in batches:
            step(*batch)
        return np.concatenate([v.numpy().reshape(-1) for v in metric.variables])

    expected = counted()
    with installed():
        backend.use("cupy")
        np.testing.assert_allclose(counted(), expected, 1e-5, 1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_are_the_same(name: str) -> None:
    options, _, _, (t, p), _ = next(loss_cases.configurations(name, 1))
    loss = getattr(losses, name)(**options)

    def step(t: Any, p: Any) -> Any:
        x = gpudl.ops.multiply(p, 1.0)
        x.requires_grad = True
        value = loss(t, x)
        return value, gpudl.grad(value, [x])[0]

    def computed() -> list[np.ndarray]:
        return [result.numpy() for result in gpudl.traced(step)(t, p.astype("f"))]

    expected = computed()
    with installed():
        backend.use("cupy")
        for got, wanted in zip(computed(), expected, strict=True):
            np.testing.assert_allclose(got, wanted, 1e-5, 1e-6)
