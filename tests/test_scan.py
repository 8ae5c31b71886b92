"""`ops.scan`: equal to the loop that is written out, planned once for all steps, linear in what must be kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from replay_tools import plan_of
from scan_tools import FEATURES, ROWS, UNITS, array, bits, inputs, loop, lstm, training, variable
from strict_cupy import installed
from test_planning import calls

import gpudl
from gpudl import backend, ops, random
from gpudl.engine.plan.capture import Outcome
from gpudl.engine.state import unfused

XS = np.arange(6, dtype=np.float32).reshape(3, 2)
START = np.float32([1, -1])


def both(step: Any, *args: Any) -> list[Any]:
    """The bits of a step that computes at once, and of two replays."""
    traced = gpudl.traced(step)
    return [bits(step(*args)), bits(traced(*args)), bits(traced(*args))]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_values_and_gradients_are_those_of_the_loop(length: int, reverse: bool) -> None:
    made, args = lstm(), inputs(length)
    expected = bits(training(loop, made, reverse)(*args))
    assert both(training(ops.scan, made, reverse), *args) == [expected] * 3
    with unfused():
        assert both(training(ops.scan, made, reverse), *args) == [expected] * 3


def test_a_replay_reads_nothing_that_it_did_not_write() -> None:
    step, args = gpudl.traced(training(ops.scan, lstm())), inputs(5)
    expected = bits(step(*args))
    plan_of(step).poison()
    assert bits(step(*args)) == expected


def test_gradients_of_float64_against_differences() -> None:
    made, (xs, start) = lstm(np.float64), inputs(6, np.float64)
    step = gpudl.traced(training(ops.scan, made))
    weights = made[1]
    gradients = [g.numpy() for g in step(xs, start)[5:]]
    for weight, g in zip(weights, gradients, strict=True):
        direction, before = array(*weight.shape, seed=11, dtype=np.float64), weight.numpy()
        found = []
        for side in (1e-5, -1e-5):
            weight.assign(before + side * direction)
            found.append(step(xs, start)[4].item())
        weight.assign(before)
        np.testing.assert_allclose((found[0] - found[1]) / 2e-5, np.sum(g * direction), rtol=1e-7)


def test_a_carry_may_be_swapped_kept_and_handed_on_twice() -> None:
    weight = variable(2)

    def step(run: Any, xs: Any, a: Any) -> Any:
        def f(carry: Any, x: Any) -> Any:
            one, other, fixed, twice = carry
            new = one * x + weight * twice
            return (other, new, fixed, new), (one, x, weight)

        carry, ys = run(f, (a, a + 1.0, a * 2.0, a), xs)
        loss = sum(ops.sum(t * t) for t in (*carry, *ys))
        return [*carry, *ys, *gpudl.grad(loss, [weight])]

    args = gpudl.convert_to_tensor(XS), gpudl.convert_to_tensor(START)
    expected = [t.numpy() for t in step(loop, *args)]
    traced = gpudl.traced(lambda *given: step(ops.scan, *given))
    for _ in range(2):
        for one, other in zip(traced(*args), expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=1e-6)


def test_random_numbers_and_updates_are_those_of_the_loop() -> None:
    def run(way: Any, traced: bool) -> Any:
        generator, total, weight = random.SeedGenerator(3), variable(2, seed=1), variable(2, seed=2)

        def f(carry: Any, x: Any) -> Any:
            mask = ops.dropout(carry + weight * x, generator.next(), rate=0.5)
            total.assign_add(mask)
            return mask + x, mask * total

        def step(xs: Any, a: Any) -> Any:
            last, ys = way(f, a, xs)
            return last, ys, gpudl.grad(ops.sum(ys * ys), [weight])

        call = gpudl.traced(step) if traced else step
        return [bits([*call(gpudl.convert_to_tensor(XS), gpudl.convert_to_tensor(START)), total]) for _ in range(2)]

    expected = run(loop, True)
    assert expected[0] != expected[1]
    assert run(ops.scan, True) == expected
    assert run(loop, False) == run(ops.scan, False)


def test_what_is_the_same_in_each_step_is_computed_once() -> None:
    weight = variable(2, 2)

    def step(xs: Any, a: Any) -> Any:
        return ops.scan(lambda carry, x: (ops.matmul(carry[None], ops.softmax(weight))[0] + x, None), a, xs)[0]

    traced = gpudl.traced(step)
    traced(XS, START)
    assert [i.name for i in plan_of(traced).instructions].index("scan") > 0
    (body,) = (i for i in plan_of(traced).instructions if i.name == "scan")
    assert "softmax" not in [part.name for part in body.members]
    weight.assign(2 * np.eye(2, dtype=np.float32))
    assert bits(traced(XS, START)) == bits(step(gpudl.convert_to_tensor(XS), gpudl.convert_to_tensor(START)))


def test_a_view_of_what_lies_outside_is_read_in_the_body() -> None:
    weight = variable(2)

    def step(run: Any, xs: Any, a: Any) -> Any:
        outer = ops.tanh(a)
        last, _ = run(lambda carry, x: (carry * ops.reshape(ops.reshape(outer, (2, 1)), 2) + weight * x, carry), a, xs)
        return [last, *gpudl.grad(ops.sum(last), [weight])]

    args = gpudl.convert_to_tensor(XS), gpudl.convert_to_tensor(START)
    traced = gpudl.traced(lambda *given: step(ops.scan, *given))
    assert bits(traced(*args)) == bits(step(loop, *args))


def test_what_nothing_depends_on_has_no_gradient() -> None:
    one, other = variable(2, seed=1), variable(2, seed=2)

    def step(xs: Any, a: Any) -> Any:
        (last, _), _ = ops.scan(lambda carry, x: ((carry[0] * one + x, carry[1] * other), None), (a, a), xs)
        first, second = gpudl.grad(ops.sum(last), [one, other])
        assert second is None
        return first

    assert gpudl.traced(step)(XS, START).shape == (2,)


def nested(run: Any) -> Any:
    weight = variable(2)

    def step(xs: Any, a: Any) -> Any:
        def row(carry: Any, x: Any) -> Any:
            scaled = carry * weight
            inner, ys = run(lambda c, y: (ops.tanh(c * y + scaled), c * weight), carry, x)
            return inner, ops.sum(ys, axis=0)

        last, ys = run(row, a, xs)
        loss = ops.sum(ys * ys) + ops.sum(last)
        return [last, ys, *gpudl.grad(loss, [weight])]

    return step


def test_a_scan_inside_a_scan() -> None:
    args = gpudl.convert_to_tensor(array(3, 4, 2)), gpudl.convert_to_tensor(START)
    expected = bits(nested(loop)(*args))
    assert both(nested(ops.scan), *args) == [expected] * 3


def test_a_gradient_can_be_differentiated_again() -> None:
    weight = variable(2, dtype=np.float64)

    def step(run: Any, xs: Any) -> Any:
        _, ys = run(lambda carry, x: (ops.tanh(carry * weight + x), carry * carry), xs[0] * weight, xs)
        (g,) = gpudl.grad(ops.sum(ys), [weight], create_graph=True)
        return gpudl.grad(ops.sum(g * g), [weight])

    xs = array(4, 2, dtype=np.float64)
    (expected,) = step(loop, gpudl.convert_to_tensor(xs))
    (found,) = gpudl.traced(lambda given: step(ops.scan, given))(xs)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


def test_memory_is_linear_and_the_plan_is_as_long_for_more_steps() -> None:
    def planned(length: int) -> Any:
        step = gpudl.traced(training(ops.scan, lstm()))
        step.prepare(*inputs(length))
        (entry,) = step.entries.values()
        return entry.plan.arena.nbytes, len(entry.record.instructions), len(entry.plan.instructions)

    short, long = planned(50), planned(200)
    assert short[1:] == long[1:]
    assert 2 * short[0] < long[0] < 4.05 * short[0]
    # Of a step are kept the two carries, four gates and a tanh, two results, a row, and gradients of the last three.
    results_and_row = UNITS + 2 + FEATURES
    assert (long[0] - short[0]) / 150 <= 4 * ROWS * (7 * UNITS + 2 * results_and_row)


def test_without_results_and_gradients_no_step_is_kept() -> None:
    def planned(length: int) -> int:
        cell, _ = lstm()
        step = gpudl.traced(lambda xs, a: ops.scan(cell, (a, a), xs)[0])
        step.prepare(*inputs(length))
        return int(plan_of(step).arena.nbytes)

    assert planned(10) == planned(100)


@pytest.mark.host
def test_recording_and_planning_take_as_long_for_more_steps() -> None:
    def made() -> Any:
        step = training(ops.scan, lstm())
        return lambda x: step(ops.transpose(x, (1, 0, 2)), gpudl.convert_to_tensor(array(3, UNITS)))

    assert calls(made, 10) == calls(made, 100)


def test_on_a_gpu_it_is_part_of_the_graph_and_moves_nothing() -> None:
    made, args = lstm(), [t.numpy() for t in inputs(5)]
    with installed() as meter:
        backend.use("cupy")
        made = lstm()
        step = gpudl.traced(training(ops.scan, made))
        args = [gpudl.convert_to_tensor(each) for each in args]
        expected = bits(training(loop, made)(*args))
        for _ in range(2):
            step.run(*args)
        meter.reset()
        results = step.run(*args)
        assert meter.launches == 1 + len(args)  # the inputs are copied by launches of their own
        assert (meter.synchronizations, meter.host_to_device, meter.device_to_host) == (0, 0, 0)
        (entry,) = step.entries.values()
        assert entry.plan.outcome == Outcome(captured=True)
        assert bits(results) == expected


class Recurrent(gpudl.layers.Layer):
    """A layer of one's own with a loop over time, written out or not."""

    def __init__(self, run: Any, dtype: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.run = run

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], UNITS), initializer="glorot_uniform")
        self.recurrent = self.add_weight((UNITS, UNITS), initializer="orthogonal")

    def call(self, x: Any) -> Any:
        rows = ops.transpose(x, (1, 0, 2))
        start = ops.zeros_like(ops.matmul(rows[0], self.kernel))

        def cell(h: Any, row: Any) -> Any:
            h = ops.tanh(ops.matmul(row, self.kernel) + ops.matmul(h, self.recurrent))
            return h, h

        return self.run(cell, start, rows)[0]


@pytest.mark.parametrize("eagerly", [False, True])
def test_fit_of_a_recurrent_layer(eagerly: bool) -> None:
    def fitted(run: Any) -> list[bytes]:
        gpudl.utils.set_random_seed(1)
        model = gpudl.Sequential([Recurrent(run), gpudl.layers.Dropout(0.2), gpudl.layers.Dense(1)])
        model.compile("adam", "mse", run_eagerly=eagerly)
        x = array(10, 6, 5)
        model.fit(x, x[:, 0, :1], batch_size=4, epochs=2, verbose=0)
        return [w.tobytes() for w in model.get_weights()] + [model.predict(x, verbose=0).tobytes()]

    assert fitted(ops.scan) == fitted(loop)


def test_reports_say_how_often_the_body_runs() -> None:
    model = gpudl.Sequential([Recurrent(ops.scan)])
    model.compile("sgd", "mse")
    x = array(8, 6, 5)
    model.fit(x, x[:, 0, :4], verbose=0)
    rows = [row for row in model.profile(x, x[:, 0, :4]).rows if row.op.startswith("6 times (")]
    assert [row.layer for row in rows] == ["recurrent", "recurrent gradient"]
    # Two products, an addition and a tanh for each row.
    assert rows[0].flops >= 6 * 8 * (2 * 5 * UNITS + 2 * UNITS * UNITS + UNITS)


def test_mixed_precision() -> None:
    def fitted(run: Any) -> list[bytes]:
        gpudl.utils.set_random_seed(1)
        model = gpudl.Sequential([Recurrent(run, dtype="mixed_float16"), gpudl.layers.Dense(1)])
        model.compile("sgd", "mse")
        x = array(8, 6, 5)
        model.fit(x, x[:, 0, :1], batch_size=4, verbose=0)
        return [w.tobytes() for w in model.get_weights()]

    assert fitted(ops.scan) == fitted(loop)
