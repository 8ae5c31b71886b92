"""Ctrl-C at every kernel of a step: the step is finished first, so that nothing is a step ahead of the rest."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import gpudl
from gpudl import Sequential, layers
from gpudl.engine.plan.entry import Entry

pytestmark = pytest.mark.host

BATCH = 4
rng = np.random.default_rng(0)
X, Y = rng.random((3 * BATCH, 6), dtype=np.float32), rng.random((3 * BATCH, 1), dtype=np.float32)


def trained() -> Sequential:
    """Return a model after three steps, whose step has statistics, slots, a random state and metrics to write."""
    gpudl.utils.set_random_seed(0)
    model = Sequential([layers.Input((6,)), layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.2)])
    model.add(layers.Dense(1))
    model.compile("adam", "mse", metrics=["mae"])
    train(model, len(X))
    return model


def train(model: Sequential, rows: int) -> None:
    model.fit(X[:rows], Y[:rows], batch_size=BATCH, shuffle=False, verbose=0)


def state(model: Sequential) -> list[np.ndarray]:
    assert model.optimizer is not None
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def the_step(model: Sequential) -> Entry:
    (entry,) = model._train._kept.plans.entries.values()
    return entry


def test_an_interrupt_at_any_kernel_waits_for_the_end_of_the_step() -> None:
    expected = trained()
    kernels = len(the_step(expected).plan.calls)
    train(expected, 2 * BATCH)
    for at in range(kernels):
        model, runs = trained(), 0

        def interrupting() -> None:
            nonlocal runs
            runs += 1
            if runs == 2:
                os.kill(os.getpid(), signal.SIGINT)

        the_step(model).plan.calls.insert(at, interrupting)
        with pytest.raises(KeyboardInterrupt):
            train(model, len(X))
        for ours, other in zip(state(model), state(expected), strict=True):
            np.testing.assert_array_equal(ours, other, err_msg=f"interrupted at kernel {at} of {kernels}")


def test_who_presses_twice_does_not_wait() -> None:
    model, ran = trained(), []

    def pressing_twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    calls = the_step(model).plan.calls
    calls.insert(0, pressing_twice)
    calls.insert(1, lambda: ran.append(1))
    with pytest.raises(KeyboardInterrupt):
        train(model, len(X))
    assert not ran


def test_the_handler_of_the_program_is_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    train(trained(), len(X))
    assert signal.getsignal(signal.SIGINT) is before
