"""Records of a step that are compared: what is one and the same, what is not, and how often there is time for it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from small_models import digits, mlp

import gpudl
from gpudl import callbacks, layers
from gpudl.engine.plan import record
from gpudl.engine.plan.record import Budget
from gpudl.engine.state import changed

LEFT, IS_AMPLE = Budget.left, Budget.is_ample
ONES = np.ones(3, np.float32)


def plan_of(step: Any) -> Any:
    (entry,) = step.entries.values()
    return entry.plan


def kept(function: Any) -> bool:
    """Tell whether a step keeps its plan when it is recorded again."""
    step = gpudl.traced(function)
    step(ONES)
    before = plan_of(step)
    changed()
    step(ONES)
    return plan_of(step) is before


class TestWhatIsTheSame:
    def test_constants_with_one_value(self) -> None:
        assert kept(lambda x: x * np.full(3, 0.25, np.float32) + np.float32(2) + 3)

    def test_constants_that_are_not_numbers(self) -> None:
        assert kept(lambda x: x * np.full(3, np.nan, np.float32))

    def test_variables_that_the_step_makes_itself(self) -> None:
        assert kept(lambda x: x + gpudl.random.uniform((3,)))
        assert kept(lambda x: gpudl.random.dropout(x, 0.5, seed=gpudl.random.SeedGenerator(3)))

    def test_a_nest_of_results_with_nothing_in_it(self) -> None:
        assert kept(lambda x: {"sum": x + 1, "none": None, "same": (x, x)})


def values(*given: Any) -> Any:
    """Return a function that brings one after the other of what it is given."""
    remaining = iter([*given, given[-1]])
    return lambda: next(remaining)


class TestWhatIsNot:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (0.5, 0.25),
            (0.0, -0.0),
            (np.float32([1, 2, 3]), np.float32([1, 2, 4])),
            (np.float32([0, 0, 0]), np.float32([-0.0, 0, 0])),
        ],
    )
    def test_another_constant(self, first: Any, second: Any) -> None:
        value = values(first, second)
        assert not kept(lambda x: x * value())

    def test_another_static_argument(self) -> None:
        axis = values(0, 1)
        assert not kept(lambda x: gpudl.ops.sum(gpudl.ops.stack([x, x]), axis=axis()))

    def test_another_variable_with_the_same_value(self) -> None:
        variable = values(gpudl.Variable(ONES), gpudl.Variable(ONES))
        assert not kept(lambda x: x * variable())

    def test_the_results_alone(self) -> None:
        number = values(0, 1)
        assert not kept(lambda x: [x + 1, x + 2][number()])

    def test_another_nest_of_results(self) -> None:
        nest = values(tuple, list)
        assert not kept(lambda x: nest()([x + 1, x + 2]))

    def test_more_and_fewer_instructions(self) -> None:
        for counts in ((1, 2), (2, 1)):
            count = values(*counts)
            assert not kept(lambda x, count=count: [x + 1 for _ in range(count())][-1])


class TestComparisons:
    def test_nothing_is_planned_again_when_nothing_has_changed(self) -> None:
        x, y = digits(64)
        model = mlp()
        model.fit(x, y, verbose=0)
        before = plan_of(model._train)
        model.fit(x, y, epochs=3, verbose=0)
        assert plan_of(model._train) is before

    def test_they_draw_no_random_numbers(self) -> None:
        def step(x: Any) -> Any:
            np.random.random(2), random.random()
            return x + 1

        drawn = gpudl.traced(step)
        drawn(ONES)
        before = record.draws()
        changed()
        drawn(ONES)
        after = record.draws()
        assert after[0] == before[0]
        assert all(np.array_equal(a, b) for a, b in zip(after[1], before[1], strict=True))

    def test_what_lives_in_variables_and_what_is_the_same_is_no_change(self) -> None:
        calls: list[Any] = []

        class Counting(layers.Layer):
            def call(self, x: Any) -> Any:
                calls.append(1)
                return x * 1

        x, y = digits(96)
        model = mlp()
        counting = Counting()
        model.add(counting)
        model.compile("sgd", "mse")

        def set_them(batch: int, logs: Any) -> None:
            model.optimizer.learning_rate = 0.1 / (batch + 1)
            model.optimizer.weight_decay = None
            model.stop_training = False
            counting.name = "counting"
            gpudl.config.set_epsilon(1e-7)

        hooks = callbacks.LambdaCallback(on_train_batch_end=set_them)
        model.fit(x, y[:, None] * np.ones(3), verbose=0)
        calls.clear()
        model.fit(x, y[:, None] * np.ones(3), epochs=2, verbose=0, callbacks=[hooks])
        assert len(calls) == 2  # once an epoch

    def test_what_a_step_itself_sets_is_no_change(self) -> None:
        class Counting(layers.Layer):
            number = 0

            def call(self, x: Any) -> Any:
                self.number += 1
                return x + 1

        layer = Counting()
        model = gpudl.Sequential([layers.Input((3,)), layer])
        model.predict(ONES[None], verbose=0)
        before = layer.number
        for _ in range(3):
            model.predict(ONES[None], verbose=0)
        assert layer.number == before

    def test_an_error_of_the_step_is_raised_and_the_next_step_is_as_before(self) -> None:
        class Failing(layers.Layer):
            fails = False

            def call(self, x: Any) -> Any:
                if self.fails:
                    raise ValueError("not now")
                return x + 1

        layer = Failing()
        model = gpudl.Sequential([layers.Input((3,)), layer])
        expected = model.predict(ONES[None], verbose=0)
        layer.fails = True
        for _ in range(2):
            with pytest.raises(ValueError, match="not now"):
                model.predict(ONES[None], verbose=0)
        layer.fails = False
        np.testing.assert_array_equal(model.predict(ONES[None], verbose=0), expected)


class TestChance:
    def test_a_step_that_differs_each_time_is_named_once(self) -> None:
        class Noisy(layers.Layer):
            def call(self, x: Any) -> Any:
                return x + np.random.normal(size=3).astype("float32")

        x = np.ones((8, 3), np.float32)
        model = gpudl.Sequential([layers.Input((3,)), layers.Dense(3), Noisy()])
        model.compile("sgd", "mse")
        model.fit(x, x, verbose=0)
        line = Noisy.call.__code__.co_firstlineno + 1
        text = rf"test_records\.py:{line}: this step differs each time .* 'add' with other values"
        with pytest.warns(UserWarning, match=text) as seen:
            model.fit(x, x, epochs=3, verbose=0)
        assert len(seen) == 1

    def test_it_takes_what_was_drawn_last(self) -> None:
        step = gpudl.traced(lambda x: x + np.random.normal(size=3).astype("float32"))
        first = step(ONES).numpy()
        changed()
        with pytest.warns(UserWarning, match="this step differs each time that it is recorded"):
            second = step(ONES).numpy()
        assert not np.array_equal(first, second)
        np.testing.assert_array_equal(step(ONES).numpy(), second)


class TestBudget:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """The time, which stands still."""
        now = [0.0]
        monkeypatch.setattr(Budget, "left", LEFT)
        monkeypatch.setattr(Budget, "is_ample", IS_AMPLE)
        for name in ("perf_counter", "process_time"):
            monkeypatch.setattr(record.time, name, lambda: now[0])
        return now

    def spend(self, budget: Budget, clock: list[float], seconds: float, unless: bool = False) -> None:
        with budget.spent(unless):
            clock[0] += seconds

    def test_a_share_of_the_time_is_spent(self, clock: list[float]) -> None:
        budget, spent = Budget(), 0.0
        while clock[0] < 1000:
            clock[0] += 0.01
            if budget.left() > 0:
                self.spend(budget, clock, 0.005)
                spent += 0.005
        assert spent == pytest.approx(record.SHARE * 1000, rel=0.03)

    def test_something_is_kept_back_for_passes(self, clock: list[float]) -> None:
        budget = Budget()
        assert budget.is_ample()
        while budget.is_ample():
            self.spend(budget, clock, 0.01)
        assert budget.left() > 0
        clock[0] += 20
        assert budget.is_ample()

    def test_waiting_for_other_programs_counts_in_long_pauses_alone(
        self, clock: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(record.time, "process_time", lambda: 0.0)
        budget = Budget()
        self.spend(budget, clock, 0.2)
        before = budget.left()
        for _ in range(100):
            clock[0] += 0.5
            assert budget.left() == before
        clock[0] += 50
        assert budget.left() > before

    def test_what_has_to_be_is_not_paid_for(self, clock: list[float]) -> None:
        budget = Budget()
        self.spend(budget, clock, 100, unless=True)
        assert budget.is_ample()
