"""Recording and planning take time in proportion to the instructions of a step, however long it is."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import ops

pytestmark = pytest.mark.host
SHORT, TIMES = 12, 4


def variable(*shape: int) -> gpudl.Variable:
    return gpudl.Variable(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def recurrent() -> Callable[[Any], Any]:
    """A training step of a recurrent cell that is a loop over time, with slices of what has a gradient."""
    kernel, recurrent_kernel, bias = weights = [variable(5, 4), variable(4, 4), variable(4)]
    optimizer = gpudl.optimizers.Adam()
    optimizer.build(weights)

    def step(x: Any) -> Any:
        projected = ops.matmul(x, kernel)
        state = projected[:, 0]
        for t in range(1, x.shape[1]):
            state = ops.tanh(projected[:, t] + ops.matmul(state, recurrent_kernel) + bias)
        loss = ops.mean(ops.square(state))
        optimizer.apply(gpudl.grad(loss, weights), weights)
        return loss

    return step


def elementwise() -> Callable[[Any], Any]:
    """Chains of elementwise ops, of which some become runs and some cannot, and updates between them."""
    total = variable(3, 5)

    def step(x: Any) -> Any:
        parts = [x[:, t] for t in range(x.shape[1])]
        for part in parts:
            total.assign_add(ops.relu(part) * 2.0 + part)
        return [ops.square(part) - total for part in parts]

    return step


def joined() -> Callable[[Any], Any]:
    """Layers that share their weights, each of which becomes one kernel, and repeats of the same computation."""
    kernel, bias = variable(5, 5), variable(5)

    def step(x: Any) -> Any:
        outs = []
        for t in range(x.shape[1]):
            outs.append(ops.bias_activation(ops.matmul(x[:, t], kernel), bias, activation="relu"))
            outs.append(ops.softmax(x[:, t]) + ops.softmax(x[:, t]))
        return outs

    return step


def calls(make: Callable[[], Callable[[Any], Any]], length: int) -> int:
    """Return the number of Python functions that are called to record and plan a step."""
    x = np.random.default_rng(1).standard_normal((3, length, 5)).astype(np.float32)
    gpudl.traced(make()).prepare(x)  # what is compiled or found out once
    step, count = gpudl.traced(make()), 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    gc.collect()
    gc.disable()  # what it would find was left by others
    sys.setprofile(called)
    try:
        step.prepare(x)
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


@pytest.mark.parametrize("make", [recurrent, elementwise, joined])
def test_planning_is_linear(make: Callable[[], Callable[[Any], Any]]) -> None:
    few, many = calls(make, SHORT), calls(make, TIMES * SHORT)
    assert many < 1.1 * TIMES * few
