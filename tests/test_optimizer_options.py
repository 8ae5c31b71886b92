"""What all optimizers take: schedules, accumulation, moving averages, loss scale factors; and own optimizers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from optimizer_tools import F4, Problem, assert_same_bits, gradients_of, variables

import gpudl
from gpudl import ops, optimizers
from gpudl.optimizers import schedules

SOME = {
    "sgd": lambda **options: optimizers.SGD(0.1, momentum=0.9, **options),
    "adam": lambda **options: optimizers.Adam(0.1, **options),
    "lamb": lambda **options: optimizers.Lamb(0.1, **options),
    "muon": lambda **options: optimizers.Muon(0.1, **options),
    "nadam": lambda **options: optimizers.Nadam(0.1, **options),
}
each = pytest.mark.parametrize("name", SOME)


class Own(optimizers.Optimizer):
    """Momentum as an optimizer written for Keras has it."""

    def __init__(self, learning_rate: float = 0.1, decay: float = 0.9, **options: Any) -> None:
        super().__init__(learning_rate=learning_rate, **options)
        self.share = decay

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.speeds = [self.add_variable_from_reference(v, name="speed") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        speed = self.speeds[self._get_variable_index(variable)]
        self.assign(speed, speed * self.share - ops.cast(learning_rate, variable.dtype) * gradient)
        self.assign_add(variable, speed)


def same_numbers(one: list[Any], other: list[Any], rtol: float = 1e-5) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=1e-6)


class TestSchedules:
    @pytest.mark.parametrize("recorded", [False, True])
    def test_the_rate_of_each_step_is_computed_where_it_is_used(self, recorded: bool) -> None:
        problem = Problem(optimizers.SGD(schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)), recorded)
        by_hand = Problem(optimizers.SGD(0.1), False)
        for t in range(6):
            by_hand.optimizer.learning_rate = 0.1 * 0.5 ** (t // 2)
            assert problem.run(1, start=t) == pytest.approx(by_hand.run(1, start=t), rel=1e-5)
        same_numbers([problem.w, problem.b], [by_hand.w, by_hand.b])
        assert float(problem.optimizer.learning_rate) == pytest.approx(0.1 * 0.5**3)
        assert [v.name for v in problem.optimizer.variables] == ["iteration"]
        if recorded:
            assert len(problem.step.entries) == 1

    def test_a_schedule_of_ones_own_and_a_function(self) -> None:
        class Warmup(schedules.LearningRateSchedule):
            def __call__(self, step: Any) -> Any:
                step = ops.cast(step, "float32")
                return ops.minimum(step * 0.25, 1.0)

        w = gpudl.Variable([0.0])
        optimizer = optimizers.SGD(Warmup())
        for _ in range(3):
            optimizer.apply([[1.0]], [w])
        assert float(w[0]) == -0.75
        by_function = optimizers.SGD(lambda: 0.5)
        by_function.apply([[1.0]], [w])
        assert float(w[0]) == -1.25
        with pytest.raises(TypeError, match="SGD was made with a schedule or a function as learning_rate, so"):
            optimizer.learning_rate = 0.1
        optimizer.learning_rate = schedules.PiecewiseConstantDecay([1], [1.0, 2.0])
        assert float(optimizer.learning_rate) == 2.0

    def test_a_variable_is_the_learning_rate(self) -> None:
        rate, w = gpudl.Variable(0.5, trainable=False, name="rate"), gpudl.Variable([1.0])
        optimizer = optimizers.SGD(rate)
        rate.assign(0.25)
        optimizer.apply([[1.0]], [w])
        assert (float(w[0]), optimizer.learning_rate is rate) == (0.75, True)

    def test_configs(self) -> None:
        made = optimizers.Adam(schedules.CosineDecay(0.1, 10, warmup_target=1.0, warmup_steps=3))
        again = optimizers.get(optimizers.serialize(made))
        assert again.get_config() == made.get_config()
        theirs = {"module": "keras.optimizers.schedules", "class_name": "ExponentialDecay", "registered_name": None}
        config = {
            "learning_rate": {**theirs, "config": {"initial_learning_rate": 0.1, "decay_steps": 2, "decay_rate": 0.5}}
        }
        assert float(optimizers.SGD.from_config(config).learning_rate) == pytest.approx(0.1)
        for schedule in (schedules.PolynomialDecay(0.1, 5), schedules.InverseTimeDecay(0.1, 5, 0.5)):
            assert schedules.deserialize(schedules.serialize(schedule)).get_config() == schedule.get_config()


class TestAccumulation:
    @each
    @pytest.mark.parametrize("recorded", [False, True])
    def test_several_steps_are_one_by_the_mean_of_their_gradients(self, name: str, recorded: bool) -> None:
        ours, theirs = variables(), variables()
        several, one = SOME[name](gradient_accumulation_steps=3, clipnorm=1.0), SOME[name](clipnorm=1.0)
        several.build(ours)
        step: Any = gpudl.traced(lambda *g: several.apply(g, ours)) if recorded else lambda *g: several.apply(g, ours)
        for t in range(2):
            grads = [gradients_of(3 * t + k) for k in range(3)]
            before = [v.numpy() for v in ours]
            for k, g in enumerate(grads):
                step(*map(gpudl.convert_to_tensor, g))
                if k < 2:
                    assert_same_bits(ours, before)
            one.apply([np.mean(parts, axis=0, dtype=F4) for parts in zip(*grads, strict=True)], theirs)
        same_numbers(ours, theirs, 1e-4)
        assert (int(several.iterations), int(several.variables[0])) == (2, 6)


class TestMovingAverages:
    @pytest.mark.parametrize("recorded", [False, True])
    def test_averages_follow_and_take_over(self, recorded: bool) -> None:
        w = gpudl.Variable([1.0, 2.0], name="w")
        optimizer = optimizers.SGD(0.5, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=3)
        optimizer.build([w])
        step: Any = gpudl.traced(lambda g: optimizer.apply([g])) if recorded else lambda g: optimizer.apply([g])
        weight, average = np.array([1.0, 2.0]), np.zeros(2)
        for t in range(7):
            step(gpudl.convert_to_tensor([1.0, -1.0]))
            weight = weight - 0.5 * np.array([1.0, -1.0])
            average = 0.75 * average + 0.25 * weight if t else weight
            if t % 3 == 2:
                weight = average
            np.testing.assert_allclose(w.numpy(), weight, rtol=1e-6)
        optimizer.finalize_variable_values([w])
        np.testing.assert_allclose(w.numpy(), average, rtol=1e-6)

    def test_fit_ends_with_the_averages(self) -> None:
        x, y = np.ones((8, 2), F4), np.zeros((8, 1), F4)
        model = gpudl.Sequential([gpudl.layers.Dense(1, kernel_initializer="ones", input_shape=(2,))])
        model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
        model.fit(x, y, epochs=3, batch_size=4, verbose=0)
        averages = [v.numpy() for v in model.optimizer.variables if v.name.endswith("average")]
        assert_same_bits(model.get_weights(), averages)


def test_a_factor_on_the_loss_is_taken_off_the_gradients() -> None:
    one, other = variables(), variables()
    scaled, plain = optimizers.SGD(0.1, loss_scale_factor=8.0), optimizers.SGD(0.1)
    assert float(scaled.scale_loss(gpudl.convert_to_tensor(2.0))) == 16.0
    scaled.apply([8 * g for g in gradients_of(0)], one)
    plain.apply(gradients_of(0), other)
    assert_same_bits(one, other)


@pytest.mark.parametrize("old", ["lr", "decay"])
def test_old_spellings_warn_once(old: str) -> None:
    with pytest.warns(DeprecationWarning, match=r"lr is the old name of|Argument `decay` is no longer supp") as caught:
        optimizer = optimizers.Adam(**{old: 0.25})
    assert len(caught) == 1
    assert float(optimizer.learning_rate) == (0.25 if old == "lr" else F4(0.001))
    assert old not in optimizer.get_config()


class TestOwn:
    @pytest.mark.parametrize("recorded", [False, True])
    def test_one_that_is_written_for_keras(self, recorded: bool) -> None:
        ours, theirs = (Problem(made, recorded) for made in (Own(0.1), optimizers.SGD(0.1, momentum=0.9)))
        assert ours.run(5) == pytest.approx(theirs.run(5), rel=1e-5)
        assert [v.name for v in ours.optimizer.variables] == ["iteration", "learning_rate", "w_speed", "b_speed"]
        same_numbers([ours.w, ours.b, *ours.optimizer.variables], [theirs.w, theirs.b, *theirs.optimizer.variables])

    def test_it_trains_is_copied_and_wrapped(self) -> None:
        x, y = np.ones((8, 2), F4), np.zeros((8, 1), F4)
        losses = []
        for optimizer in (Own(0.01, use_ema=True), optimizers.LossScaleOptimizer(Own(0.01, use_ema=True))):
            model = gpudl.Sequential([gpudl.layers.Dense(1, kernel_initializer="ones", input_shape=(2,))])
            model.compile(optimizer, "mse")
            losses.append([model.fit(x, y, verbose=0).history["loss"] for _ in range(2)])
            twin = copy.deepcopy(model)
            assert twin.fit(x, y, verbose=0).history["loss"] == model.fit(x, y, verbose=0).history["loss"]
        assert losses[0] == losses[1]
        assert losses[0][1] < losses[0][0]

    def test_new_variables_need_a_new_one(self) -> None:
        a, b, c = variables()
        optimizer = Own()
        optimizer.build([a, b])
        optimizer.prepare([b])
        with pytest.raises(ValueError, match="variable 'filter' is not one of those that the optimizer was built with"):
            optimizer.prepare([a, c])

    def test_an_update_step_that_adds_to_one_of_ours(self) -> None:
        class Signed(optimizers.Adam):
            def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
                super().update_step(ops.sign(gradient), variable, learning_rate)

        ours, theirs = variables(), variables()
        signed, plain = Signed(0.1), optimizers.Adam(0.1)
        for t in range(3):
            signed.apply(gradients_of(t), ours)
            plain.apply([np.sign(g) for g in gradients_of(t)], theirs)
        assert_same_bits(ours, theirs)

    def test_variables_by_name_and_initializer(self) -> None:
        optimizer, weights = optimizers.SGD(), variables()
        ones, zeros = optimizer.add_optimizer_variables(weights, ["a", "b"], initializer=["ones", "zeros"])
        assert [v.name for v in optimizer.variables[2:4]] == ["kernel_a", "kernel_b"]
        assert (float(ones[0].numpy().min()), float(zeros[0].numpy().max())) == (1, 0)
        with pytest.raises(ValueError, match="got 1 initializers for 2 names"):
            optimizer.add_optimizer_variables(weights, ["a", "b"], initializer=["ones"])


@each
def test_a_stateless_update_changes_nothing(name: str) -> None:
    weights, others = variables(), variables()
    optimizer, other = SOME[name](), SOME[name]()
    optimizer.build(weights)
    start = [v.value for v in (*weights, *optimizer.variables)]
    after, state = optimizer.stateless_apply(start[3:], gradients_of(0), start[:3])
    assert_same_bits([*weights, *optimizer.variables], start)
    other.apply(gradients_of(0), others)
    assert_same_bits([*after, *state], [*others, *other.variables])
    again, _ = optimizer.stateless_apply(state, gradients_of(1), after)
    other.apply(gradients_of(1))
    assert_same_bits(again, others)
    with pytest.raises(ValueError, match="trainable_variables has 2 values for 3 variables"):
        optimizer.stateless_apply(state, gradients_of(1), after[:2])


@each
def test_the_state_is_saved_and_set(name: str) -> None:
    weights, others = variables(), variables()
    optimizer, other = SOME[name](), SOME[name]()
    optimizer.apply(gradients_of(0), weights)
    other.build(others)
    store: dict[str, np.ndarray] = {}
    optimizer.save_own_variables(store)
    other.load_own_variables(store)
    assert_same_bits(other.variables, optimizer.variables)
    other.set_weights([np.zeros(v.shape) for v in other.variables])
    assert all(not v.numpy().any() for v in other.variables)
    with pytest.warns(
        UserWarning, match=r"the state of optimizer \S+ was not loaded: it has \d+ variables, and 0 were"
    ):
        other.load_own_variables({})


@pytest.mark.parametrize("scaled", [False, True])
def test_several_optimizers_share_out_the_variables(scaled: bool) -> None:
    weights, apart = variables(), variables()
    several = optimizers.OptimizerMap(optimizers.Adam(0.1), {"bias|filter": optimizers.SGD(0.5)})
    multi = optimizers.MultiOptimizer(several, loss_scale_factor=8.0 if scaled else None)
    optimizer = optimizers.LossScaleOptimizer(multi, initial_scale=1.0) if scaled else multi  # its factor is replaced
    optimizer.build(weights)
    step = gpudl.traced(lambda *g: optimizer.apply(g, weights))
    adam, sgd = optimizers.Adam(0.1), optimizers.SGD(0.5)
    for t in range(3):
        step(*map(gpudl.convert_to_tensor, gradients_of(t)))
        adam.apply(gradients_of(t)[:1], apart[:1])
        sgd.apply(gradients_of(t)[1:], apart[1:])
    assert_same_bits(weights, apart)
    assert int(optimizer.iterations) == 3
    assert len(multi.variables) == 2 + len(adam.variables) + len(sgd.variables)
    again = optimizers.MultiOptimizer.from_config(multi.get_config())
    assert [type(o).__name__ for o in again.optimizers] == [type(o).__name__ for o in multi.optimizers]
    with pytest.raises(AttributeError, match="has no learning rate of its own"):
        multi.learning_rate = 0.1
