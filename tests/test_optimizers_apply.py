"""What `apply` and `build` do with variables and gradients: some of them, none, several sets, constraints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimizer_tools import (
    CASES,
    EPS,
    F4,
    SHAPES,
    SLOTS,
    Problem,
    assert_same_bits,
    first_values,
    gradients_of,
    variables,
)

import gpudl
from gpudl import constraints, optimizers, regularizers


@pytest.mark.host
def test_two_updates_in_one_recorded_step() -> None:
    def run(recorded: bool) -> list[Any]:
        problem = Problem(optimizers.SGD(0.1), recorded=False)
        x, y = gpudl.convert_to_tensor(np.eye(3, dtype=F4)), gpudl.convert_to_tensor(np.ones((3, 2), F4))

        def twice(x: Any, y: Any) -> Any:
            return problem._step(x, y), problem._step(x, y)

        step = gpudl.traced(twice) if recorded else twice
        return [np.array([float(t) for _ in range(3) for t in step(x, y)]), *problem.everything()]

    assert_same_bits(run(False), run(True))


def test_learning_rate_reads_as_a_number() -> None:
    optimizer = optimizers.Adam(0.25)
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = np.float64(0.5)
    assert float(optimizer.learning_rate) == 0.5
    assert optimizer.learning_rate.dtype == F4
    assert optimizer.get_config()["learning_rate"] == 0.5


def test_a_learning_rate_of_a_recorded_step_is_a_tensor() -> None:
    optimizer = optimizers.SGD(1.0)

    def halve(x: Any) -> None:
        optimizer.learning_rate = optimizer.learning_rate * 0.5

    def freeze(x: Any) -> None:
        optimizer.learning_rate = 0.1

    step = gpudl.traced(halve)
    for _ in range(3):
        step(1.0)
    assert float(optimizer.learning_rate) == 0.125
    with pytest.raises(gpudl.TracingError, match="number was assigned to learning_rate while a step was being"):
        gpudl.traced(freeze)(1.0)
    assert float(optimizer.learning_rate) == 0.125


def test_a_missing_gradient_is_skipped_with_one_warning() -> None:
    weights = variables()
    optimizer = optimizers.SGD(1.0)
    g = gradients_of(0)
    with pytest.warns(UserWarning, match="no gradient for bias: the loss does not depend on"):
        optimizer.apply([g[0], None, g[2]], weights)
    optimizer.apply([g[0], None, g[2]], weights)
    before = first_values()
    np.testing.assert_array_equal(weights[0].numpy(), before[0] - g[0] - g[0])
    np.testing.assert_array_equal(weights[1].numpy(), before[1])
    assert int(optimizer.iterations) == 2


def test_no_gradient_at_all_is_an_error() -> None:
    optimizer = optimizers.SGD()
    with pytest.raises(ValueError, match="none of the 3 variables has a gradient"):
        optimizer.apply([None] * 3, variables())
    assert int(optimizer.iterations) == 0


def test_nothing_to_apply_does_nothing() -> None:
    optimizer = optimizers.SGD()
    optimizer.apply([])
    assert int(optimizer.apply_gradients([])) == 0
    assert not optimizer.built


def test_apply_gradients_takes_pairs_and_any_order() -> None:
    one, other = variables(), variables()
    g = gradients_of(0)
    first, second = optimizers.Adam(), optimizers.Adam()
    first.apply(g, one)
    second.build(other)
    assert int(second.apply_gradients(zip(g[::-1], other[::-1], strict=True))) == 1
    assert_same_bits(one, other)
    first.apply(g)
    second.apply(g)
    assert_same_bits(one, other)


def test_a_subset_leaves_the_others_alone() -> None:
    weights = variables()
    optimizer = optimizers.SGD(1.0)
    optimizer.build(weights)
    optimizer.apply([gradients_of(0)[1]], [weights[1]])
    before = first_values()
    np.testing.assert_array_equal(weights[0].numpy(), before[0])
    np.testing.assert_array_equal(weights[1].numpy(), before[1] - gradients_of(0)[1])


@pytest.mark.host
def test_one_buffer_per_dtype() -> None:
    a, b, c = (gpudl.Variable(np.ones(3, t), name=n) for t, n in ((F4, "a"), (np.float64, "b"), (F4, "c")))
    optimizer = optimizers.RMSprop(0.1)
    optimizer.apply([np.ones(3, F4), np.ones(3), np.ones(3, F4)], [a, b, c])
    assert [v.dtype for v in (a, b, c)] == [F4, np.float64, F4]
    assert a.data.base is c.data.base
    assert a.data.base is not b.data.base
    np.testing.assert_array_equal(a.numpy(), c.numpy())
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=4 * EPS)


def test_a_gradient_of_another_dtype_is_converted() -> None:
    w = gpudl.Variable(np.ones(2, F4))
    optimizers.SGD(1.0).apply([np.array([0.5, 0.25])], [w])
    np.testing.assert_array_equal(w.numpy(), np.array([0.5, 0.75], F4))


@pytest.mark.parametrize("limit", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_clipping_leaves_small_and_zero_gradients_as_they_are(limit: str) -> None:
    w = gpudl.Variable(np.zeros((2, 2), F4))
    optimizer = optimizers.SGD(1.0, **{limit: 3.0})
    for g in (np.array([[0.5, -0.25], [0.0, 1.0]], F4), np.zeros((2, 2), F4)):
        w.assign(np.zeros((2, 2), F4))
        optimizer.apply([g], [w])
        np.testing.assert_allclose(w.numpy(), -g, rtol=2 * EPS)


@pytest.mark.host
def test_an_infinite_global_norm_is_not_clipped_away() -> None:
    a, b = gpudl.Variable(np.zeros(1, F4)), gpudl.Variable(np.zeros(1, F4))
    with pytest.warns(RuntimeWarning, match="invalid value"):
        optimizers.SGD(1.0, global_clipnorm=1.0).apply([np.array([np.inf], F4), np.ones(1, F4)], [a, b])
    assert np.isnan([float(a[0]), float(b[0])]).all()


def test_weight_decay_spares_the_excluded() -> None:
    weights = variables()
    optimizer = optimizers.AdamW(0.5, weight_decay=0.25)
    optimizer.exclude_from_weight_decay(var_list=[weights[0]], var_names=["^bi"])
    optimizer.apply([np.zeros(s, F4) for s in SHAPES.values()], weights)
    before = first_values()
    np.testing.assert_array_equal(weights[0].numpy(), before[0])
    np.testing.assert_array_equal(weights[1].numpy(), before[1])
    np.testing.assert_allclose(weights[2].numpy(), before[2] * (1 - 0.125), rtol=2 * EPS)
    with pytest.raises(ValueError, match="built already: call exclude_from_weight_decay before"):
        optimizer.exclude_from_weight_decay(var_names=["x"])


@pytest.mark.parametrize("missing", [False, True])
def test_constraints_hold_after_the_update(missing: bool) -> None:
    weights = variables()
    weights[1].constraint = constraints.NonNeg()
    extra = gpudl.Variable(np.ones(1, F4), name="extra")
    optimizer = optimizers.SGD(1.0)
    if missing:
        with pytest.warns(UserWarning, match="no gradient for extra"):
            optimizer.apply([*gradients_of(0), None], [*weights, extra])
    else:
        optimizer.apply(gradients_of(0), weights)
    updated = first_values()[1] - gradients_of(0)[1]
    assert (updated < 0).any()
    np.testing.assert_array_equal(weights[1].numpy(), np.maximum(updated, 0))


@pytest.mark.host
def test_a_constraint_and_a_regularizer_see_the_weights_of_their_own_time() -> None:
    # Both take the squares of w, one before and one after the update of the buffer that w lies in.
    def run(recorded: bool) -> list[Any]:
        problem = Problem(optimizers.SGD(0.5), recorded)
        problem.w.constraint = constraints.MaxNorm(0.5, axis=0)
        plain = problem._loss
        problem._loss = lambda x, y: plain(x, y) + regularizers.L2(0.1)(problem.w)  # type: ignore[method-assign]
        return [np.array(problem.run(4)), *problem.everything()]

    assert_same_bits(run(False), run(True))


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_a_single_update_step_takes_its_rate_as_a_number(name: str) -> None:
    after = []
    for rate in (0.5, gpudl.convert_to_tensor(0.5)):
        variable, optimizer = gpudl.Variable(np.ones((3, 3), F4), name="kernel"), getattr(optimizers, name)()
        optimizer.build([])  # nothing
        optimizer.apply([np.ones((3, 3), F4)], [variable])
        optimizer.update_step(gpudl.convert_to_tensor(np.full((3, 3), 0.25, F4)), variable, rate)
        after.append(variable)
    assert_same_bits([after[0]], [after[1]])


def test_build_moves_variables_once_and_keeps_their_values() -> None:
    weights = variables()
    optimizer = optimizers.Adam()
    optimizer.build(weights)
    assert_same_bits(weights, first_values())
    places = [v.data for v in weights]
    optimizer.build(weights)
    assert all(v.data is place for v, place in zip(weights, places, strict=True))
    assert len({id(place.base) for place in places}) == 1


def test_slots_survive_a_rebuild() -> None:
    a, b, c = variables()
    optimizer = optimizers.Adam()
    optimizer.apply(gradients_of(0)[:2], [a, b])
    slots = {v.name: v for v in optimizer.variables}
    kept = {name: v.numpy() for name, v in slots.items()}
    optimizer.build([c, b])
    now = {v.name: v for v in optimizer.variables}
    assert sorted(now) == sorted(["iteration", "learning_rate", *(f"{v}_{s}" for v in SHAPES for s in SLOTS)])
    for name in slots:
        assert now[name] is slots[name]
        np.testing.assert_array_equal(now[name].numpy(), kept[name])
    np.testing.assert_array_equal(now["filter_velocity"].numpy(), 0)
    optimizer.apply(gradients_of(1)[:0:-1], [c, b])
    assert not np.array_equal(now["bias_momentum"].numpy(), kept["bias_momentum"])


def test_two_optimizers_may_take_turns_on_the_same_variables() -> None:
    weights = variables()
    first, second = optimizers.SGD(1.0), optimizers.SGD(1.0)
    expected = first_values()
    for t, optimizer in enumerate([first, second, first, second]):
        optimizer.apply(gradients_of(t), weights)
        expected = [w - g for w, g in zip(expected, gradients_of(t), strict=True)]
        assert_same_bits(weights, expected)


def test_variables_in_keras_order() -> None:
    optimizer = optimizers.Adam(amsgrad=True)
    assert [v.name for v in optimizer.variables] == ["iteration", "learning_rate"]
    weights = variables()[:2]
    optimizer.build(weights)
    assert [v.name for v in optimizer.variables[2:]] == [
        *("kernel_momentum", "kernel_velocity", "bias_momentum", "bias_velocity"),
        *("kernel_velocity_hat", "bias_velocity_hat"),
    ]
    assert not any(v.trainable for v in optimizer.variables)


def test_a_recorded_step_needs_a_built_optimizer() -> None:
    w = gpudl.Variable(np.ones(2, F4))
    optimizer = optimizers.SGD()
    step = gpudl.traced(lambda x: optimizer.apply([x], [w]))
    with pytest.raises(gpudl.TracingError, match="Build the optimizer first"):
        step(np.ones(2, F4))
    assert not optimizer.built
    np.testing.assert_array_equal(w.numpy(), 1)
    optimizer.build([w])
    step(np.ones(2, F4))
    np.testing.assert_array_equal(w.numpy(), np.full(2, F4(1) - F4(0.01)))
