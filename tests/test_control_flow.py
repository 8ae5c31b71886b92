"""Branches and loops: eagerly, in recorded steps, with gradients, and in models of inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import ops
from gpudl.engine.plan.trace import traced
from gpudl.engine.state import TracingError

Step = Callable[..., Any]
X = np.float32([1.0, 2.0, 3.0])


def both(step: Step, *args: Any) -> tuple[Any, Any]:
    """Return what a step returns eagerly, and the second time that it is replayed."""
    replayed = traced(step)
    given = [gpudl.convert_to_tensor(arg) for arg in args]
    replayed(*given)
    return step(*given), replayed(*given)


def same(step: Step, *args: Any) -> list[np.ndarray]:
    """Check that a step computes the same eagerly and replayed; return it."""
    eager, replayed = ([np.asarray(leaf) for leaf in gpudl.tree.flatten(made)] for made in both(step, *args))
    for one, other in zip(eager, replayed, strict=True):
        np.testing.assert_array_equal(one, other)
    return eager


@pytest.mark.parametrize("limit", [1.5, 100.0])
def test_cond_chooses_by_a_computed_value(limit: float) -> None:
    def step(x: Any) -> Any:
        return ops.cond(ops.sum(x) > limit, lambda: (x * 2, ops.sum(x)), lambda: (x - 1, ops.max(x)))

    chosen = same(step, X)
    np.testing.assert_array_equal(chosen[0], X * 2 if X.sum() > limit else X - 1)


def test_cond_has_the_gradient_of_the_branch_that_is_chosen() -> None:
    def step(x: Any) -> Any:
        v.assign(x)
        y = ops.cond(v[0] > 0, lambda: ops.sum(v * v), lambda: ops.sum(v * 5))
        return gpudl.grad(y, [v])[0]

    v = gpudl.Variable(X)
    np.testing.assert_array_equal(same(step, X)[0], 2 * X)
    np.testing.assert_array_equal(same(step, -X)[0], np.full(3, 5, "float32"))


@pytest.mark.parametrize("sign", [1, -1])
def test_only_the_chosen_branch_updates_variables(sign: int) -> None:
    count, other = gpudl.Variable(0.0), gpudl.Variable(10.0)

    def counted(x: Any) -> Any:
        count.assign_add(1.0)
        count.assign(count * 2)
        return x

    def uncounted(x: Any) -> Any:
        other.assign(x)
        return x * 0

    step = traced(lambda x: ops.cond(x > 0, lambda: counted(x), lambda: uncounted(x)))
    for _ in range(3):
        step(gpudl.convert_to_tensor(4.0 * sign))
    assert (float(count), float(other)) == ((14.0, 10.0) if sign > 0 else (0.0, -4.0))


def test_random_numbers_of_a_branch_advance_only_where_it_is_chosen() -> None:
    seed = gpudl.random.SeedGenerator(1)

    def step(x: Any) -> Any:
        return ops.cond(x > 0, lambda: gpudl.random.uniform((2,), seed=seed), lambda: ops.zeros(2))

    recorded = traced(step)
    drawn = [recorded(gpudl.convert_to_tensor(x)).numpy() for x in (-1.0, 1.0, -1.0, 1.0)]
    seed = gpudl.random.SeedGenerator(1)
    wanted = [gpudl.random.uniform((2,), seed=seed).numpy() for _ in range(2)]
    np.testing.assert_array_equal(drawn[1::2], wanted)
    np.testing.assert_array_equal(drawn[::2], np.zeros((2, 2)))


@pytest.mark.parametrize("index", [-3, 0, 1, 2, 9])
def test_switch(index: int) -> None:
    branches = [lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - y]
    wanted = branches[min(max(index, 0), 2)](X, 3 * X)

    def step(at: Any, x: Any) -> Any:
        return ops.switch(at, branches, x, 3 * x)

    np.testing.assert_array_equal(same(step, np.int32(index), X)[0], wanted)
    np.testing.assert_array_equal(ops.switch(index, branches, X, 3 * X), wanted)


def test_while_loop_with_a_counter_is_one_instruction_of_a_step() -> None:
    def step(x: Any) -> Any:
        return ops.while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, y * x + 1), (0, x))

    wanted = X
    for _ in range(4):
        wanted = wanted * X + 1
    np.testing.assert_array_equal(same(step, X)[1], wanted)


def test_while_loop_by_a_computed_value_needs_a_maximum() -> None:
    def body(y: Any) -> Any:
        seen.assign_add(1.0)
        return y * 2

    def step(x: Any) -> Any:
        return ops.while_loop(lambda y: ops.max(y) < 50, body, x, 20)

    seen = gpudl.Variable(0.0, trainable=False)
    eager, replayed = both(step, X)
    np.testing.assert_array_equal(replayed, X * 32)
    np.testing.assert_array_equal(eager, X * 32)
    assert float(seen) == 15  # of two replayed calls and an eager one
    with pytest.raises(TracingError, match=r"depends on values that are computed .*Say maximum_iterations, or compile"):
        traced(lambda x: ops.while_loop(lambda y: ops.max(y) < 50, lambda y: y * 2, x))(gpudl.convert_to_tensor(X))


def test_a_condition_on_a_variable_is_not_a_constant() -> None:
    most = gpudl.Variable(3, dtype="int32", trainable=False)
    step = traced(lambda x: ops.while_loop(lambda i, y: i < most, lambda i, y: (i + 1, y + x), (0, x), 9)[1])
    x = gpudl.convert_to_tensor(X)
    np.testing.assert_array_equal(step(x), X * 4)
    most.assign(5)
    np.testing.assert_array_equal(step(x), X * 6)


def test_loops_have_gradients() -> None:
    def powers(x: Any) -> Any:
        return ops.fori_loop(0, 3, lambda i, y: y * x, x)

    def doubled(x: Any) -> Any:
        return ops.while_loop(lambda y: ops.sum(y) < 40, lambda y: y * x, x, maximum_iterations=8)

    def step(x: Any) -> Any:
        v.assign(x)
        return [gpudl.grad(ops.sum(f(v)), [v])[0] for f in (powers, doubled)]

    v = gpudl.Variable(X)
    found = same(step, X)
    np.testing.assert_allclose(found[0], 4 * X**3)
    np.testing.assert_allclose(found[1], 4 * X**3)


def test_fori_loop_and_map_in_a_step() -> None:
    def step(x: Any) -> Any:
        total = ops.fori_loop(1, 3, lambda i, now: (now[0] + x[i], now[1] * 2), (x[0], 1))
        return total, ops.map(lambda row: {"sum": row[0] + row[1]}, (x, x * 2)), ops.fori_loop(3, 3, lambda i, y: y, x)

    total, doubled, rows, unchanged = same(step, X)
    assert (float(total), int(doubled)) == (6, 4)
    np.testing.assert_array_equal(rows, X * 3)
    np.testing.assert_array_equal(unchanged, X)
