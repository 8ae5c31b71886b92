"""Optimizers: the formulas, flat against one by one, replay against eager, configs and names."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import strict_cupy
from optimizer_rules import exact
from optimizer_tools import (
    CASES,
    F4,
    STEPS,
    Problem,
    assert_same_bits,
    each_case,
    first_values,
    gradients_of,
    make,
    variables,
)
from public_names import classes

import gpudl
from gpudl import ops, optimizers
from gpudl.engine.state import reference_only


@each_case
def test_thirty_updates_follow_the_formulas(kind: str, options: dict[str, Any]) -> None:
    weights, optimizer = variables(), make(kind, options)
    for t in range(1, STEPS + 1):
        optimizer.apply(gradients_of(t), weights)
    expected, bound = exact(kind, options)
    for got, want in zip(weights, expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=bound)
        assert got.dtype == F4
    assert int(optimizer.iterations) == STEPS


@each_case
@pytest.mark.parametrize("kernels", [True, False])
def test_flat_is_one_by_one_bit_for_bit(kind: str, options: dict[str, Any], kernels: bool) -> None:
    def run(apart: bool) -> list[Any]:
        weights, optimizer = variables(), make(kind, options)
        # One variable without a gradient, and the others are no longer the whole buffer.
        extra = [gpudl.Variable(np.ones(2, F4), name="extra")] if apart else []
        optimizer.build(weights + extra)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for t in range(5):
                optimizer.apply([*gradients_of(t), *(None for _ in extra)], weights + extra)
        for v in extra:
            np.testing.assert_array_equal(v.numpy(), 1)
        slots = [s for s in optimizer.variables[2:] if not s.name.startswith("extra")]
        return weights + slots

    if kernels:
        assert_same_bits(run(apart=False), run(apart=True))
    else:
        with reference_only():
            assert_same_bits(run(apart=False), run(apart=True))


@each_case
def test_replay_is_eager_bit_for_bit(kind: str, options: dict[str, Any]) -> None:
    eager, replayed = (Problem(make(kind, options), recorded) for recorded in (False, True))
    assert eager.run(6) == replayed.run(6)
    assert_same_bits(eager.everything(), replayed.everything())


def test_a_new_learning_rate_reaches_the_replayed_step_without_a_new_plan() -> None:
    eager, replayed = (Problem(optimizers.SGD(0.1, momentum=0.5), recorded) for recorded in (False, True))
    for problem in (eager, replayed):
        problem.run(2)
        problem.optimizer.learning_rate = 0.01
        problem.run(2, start=2)
        problem.optimizer.learning_rate.assign(0.5)
        problem.run(1, start=4)
    assert len(replayed.step.entries) == 1
    assert_same_bits(eager.everything(), replayed.everything())
    still = Problem(optimizers.SGD(0.1, momentum=0.5), True)
    still.run(5)
    assert not np.array_equal(still.w.numpy(), replayed.w.numpy())


@each_case
def test_config_round_trip(kind: str, options: dict[str, Any]) -> None:
    optimizer = make(kind, options)
    config = optimizer.get_config()
    again = type(optimizer).from_config(config)
    assert again.get_config() == config
    assert optimizers.get(optimizers.serialize(optimizer)).get_config() == config
    assert {k: v for k, v in config.items() if k in options} == {
        **options,
        **({"learning_rate": float(F4(options["learning_rate"]))} if "learning_rate" in options else {}),
    }
    one, other = variables(), variables()
    optimizer.apply(gradients_of(0), one)
    again.apply(gradients_of(0), other)
    assert_same_bits(one, other)


@pytest.mark.parametrize("name", ["sgd", "SGD", "rmsprop", "RMSprop", "adam", "adamw", "AdamW", "adagrad"])
def test_get_by_name(name: str) -> None:
    assert type(optimizers.get(name)).__name__.lower() == name.lower()


def test_get_returns_optimizers_and_none() -> None:
    optimizer = optimizers.SGD()
    assert optimizers.get(optimizer) is optimizer
    assert optimizers.get(None) is None
    assert isinstance(optimizers.get(optimizers.Adam), optimizers.Adam)


def test_names_count_up() -> None:
    first, second = optimizers.Adagrad(), optimizers.Adagrad()
    assert first.name != second.name
    assert second.name.startswith("adagrad_")
    assert optimizers.Adagrad(name="mine").get_config()["name"] == "mine"


def test_an_optimizer_of_your_own() -> None:
    class SignDescent(optimizers.Optimizer):
        def slot_names(self) -> tuple[tuple[str, ...], ...]:
            return (("count",),)

        def flat_step(self, gradient: Any, variable: Any, learning_rate: Any, **slots: Any) -> None:
            ops.assign_add_(slots["count"], ops.ones_like(gradient))
            ops.assign_add_(variable, -(learning_rate * ops.sign(gradient)))

    weights, optimizer = variables(), SignDescent(0.5)
    optimizer.apply(gradients_of(0), weights)
    for w, g, before in zip(weights, gradients_of(0), first_values(), strict=True):
        np.testing.assert_array_equal(w.numpy(), before - F4(0.5) * np.sign(g))
    assert optimizer.variables[2].name == "kernel_count"
    with pytest.raises(NotImplementedError, match="Optimizer needs an update_step"):
        optimizers.Optimizer(0.1).apply(gradients_of(0), variables())


@each_case
def test_on_a_device_a_step_copies_nothing_from_or_to_the_host(kind: str, options: dict[str, Any]) -> None:
    def run(on: str) -> list[np.ndarray]:
        weights, optimizer = variables(), make(kind, options)
        grads = [[gpudl.convert_to_tensor(g) for g in gradients_of(t)] for t in range(3)]
        optimizer.apply(grads[0], weights)
        copies = meter.host_to_device, meter.device_to_host
        for g in grads[1:]:
            optimizer.apply(g, weights)
        assert (meter.host_to_device, meter.device_to_host) == copies
        assert {gpudl.backend.of(v.data).name for v in (*weights, *optimizer.variables)} == {on}
        return [v.numpy() for v in (*weights, *optimizer.variables)]

    with strict_cupy.installed() as meter, reference_only():
        results = []
        for on in ("numpy", "cupy"):
            with gpudl.backend.scope(on):
                results.append(run(on))
    assert_same_bits(*results)


def test_every_optimizer_has_a_case() -> None:
    assert classes(optimizers, optimizers.Optimizer) - {"LossScaleOptimizer", "MultiOptimizer"} == {
        name for name, _ in CASES
    }
