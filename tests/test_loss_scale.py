"""Loss scaling: steps that are left out leave everything as it was, the device decides, and Keras does the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from small_models import digits, mlp, same, state_of
from strict_cupy import installed

import gpudl
from gpudl import backend, optimizers
from gpudl.optimizers import LossScaleOptimizer

INNER = {
    "sgd": lambda: optimizers.SGD(0.5),
    "momentum": lambda: optimizers.SGD(0.5, momentum=0.5),
    "rmsprop": lambda: optimizers.RMSprop(0.5, clipnorm=1.0),
    "adam": lambda: optimizers.Adam(0.5, global_clipnorm=1.0),
    "amsgrad": lambda: optimizers.Adam(0.5, amsgrad=True, clipvalue=1.0),
    "adamw": lambda: optimizers.AdamW(0.5),
    "adagrad": lambda: optimizers.Adagrad(0.5),
}
BAD = (np.nan, np.inf, -np.inf)


def pair_of_variables() -> list[gpudl.Variable]:
    return [gpudl.Variable([1.0, -2.0], name="a"), gpudl.Variable([[3.0]], name="b")]


def scale_and_count(optimizer: LossScaleOptimizer) -> tuple[float, int]:
    return float(optimizer.dynamic_scale), int(optimizer.step_counter)


@pytest.mark.parametrize("name", INNER)
class TestSteps:
    def test_a_good_step_is_that_of_the_inner_optimizer(self, name: str) -> None:
        plain, wrapped = INNER[name](), LossScaleOptimizer(INNER[name](), initial_scale=8.0)
        ours, theirs = pair_of_variables(), pair_of_variables()
        for _ in range(3):
            plain.apply([[0.25, -3.0], [[1.5]]], ours)
            wrapped.apply([[2.0, -24.0], [[12.0]]], theirs)
        assert same([v.numpy() for v in ours], [v.numpy() for v in theirs])
        assert same([v.numpy() for v in plain.variables], [v.numpy() for v in wrapped.inner_optimizer.variables])
        assert scale_and_count(wrapped) == (8.0, 3)
        assert int(wrapped.iterations) == 3

    @pytest.mark.parametrize("bad", BAD)
    @pytest.mark.parametrize("recorded", [False, True])
    def test_a_bad_step_changes_the_scale_only(self, name: str, bad: float, recorded: bool) -> None:
        optimizer, variables = LossScaleOptimizer(INNER[name](), initial_scale=8.0), pair_of_variables()
        optimizer.build(variables)

        def apply(a: Any, b: Any) -> None:
            optimizer.apply([a, b], variables)

        step = gpudl.traced(apply) if recorded else apply
        good = np.array([2.0, -24.0], np.float32), np.array([[12.0]], np.float32)
        step(*good)
        before = [t.numpy() for t in (*variables, *optimizer.inner_optimizer.variables)]
        step(good[0], np.array([[bad]], np.float32))
        assert same(before, [t.numpy() for t in (*variables, *optimizer.inner_optimizer.variables)])
        assert scale_and_count(optimizer) == (4.0, 0)
        step(*good)
        assert not same(before, [t.numpy() for t in (*variables, *optimizer.inner_optimizer.variables)])
        assert scale_and_count(optimizer) == (4.0, 1)
        assert int(optimizer.iterations) == 2


def test_the_scale_grows_after_so_many_good_steps_in_a_row() -> None:
    optimizer, variables = LossScaleOptimizer(optimizers.SGD(), 4.0, dynamic_growth_steps=3), pair_of_variables()
    seen = []
    for bad in (False, False, False, False, True, False, False, False):
        optimizer.apply([[1.0, np.nan if bad else 1.0], [[1.0]]], variables)
        seen.append(scale_and_count(optimizer))
    assert seen == [(4.0, 1), (4.0, 2), (8.0, 0), (8.0, 1), (4.0, 0), (4.0, 1), (4.0, 2), (8.0, 0)]
    assert float(optimizer.scale_loss(gpudl.convert_to_tensor(3.0))) == 24.0


def test_a_scale_falls_to_no_less_than_the_smallest_float16_and_comes_back() -> None:
    optimizer, variables = LossScaleOptimizer(optimizers.SGD(), 4.0, dynamic_growth_steps=1), pair_of_variables()
    for _ in range(40):
        optimizer.apply([[1.0, np.inf], [[1.0]]], variables)
    assert scale_and_count(optimizer) == (2.0**-24, 0)
    optimizer.apply([[2.0**-24, 2.0**-24], [[2.0**-24]]], variables)
    assert scale_and_count(optimizer) == (2.0**-23, 0)
    assert variables[0].numpy() == pytest.approx([0.99, -2.01])


def test_a_scale_does_not_grow_to_infinity() -> None:
    optimizer, variables = LossScaleOptimizer(optimizers.SGD(), 2.0**126, dynamic_growth_steps=1), pair_of_variables()
    for _ in range(4):
        optimizer.apply([[1.0, 1.0], [[1.0]]], variables)
    assert scale_and_count(optimizer) == (2.0**127, 0)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1e-45, float("inf")])
def test_no_update_is_made_of_what_a_scale_makes_infinite(recorded: bool, scale: float) -> None:
    optimizer, variables = LossScaleOptimizer(optimizers.Adam(), 4.0), pair_of_variables()
    optimizer.build(variables)
    optimizer.dynamic_scale.assign(scale)
    before = [v.numpy() for v in variables]

    def update(*grads: Any) -> None:
        optimizer.apply(grads, variables)

    step = gpudl.traced(update) if recorded else update
    step(np.array([1e3, 0.0], np.float32), np.array([[scale]], np.float32))
    assert same(before, [v.numpy() for v in variables])
    assert int(optimizer.iterations) == 0
    if scale < 1:
        step(np.array([1e-3, 0.0], np.float32), np.array([[1e-3]], np.float32))
        assert np.isfinite(np.concatenate([v.numpy().ravel() for v in variables])).all()
        assert int(optimizer.iterations) == 1


def test_variables_without_a_gradient_or_moved_or_constrained_are_taken_back_too() -> None:
    optimizer, variables = LossScaleOptimizer(optimizers.Adam()), pair_of_variables()
    variables[0].constraint = lambda w: w * 2
    with pytest.warns(UserWarning, match=r"^no gradient for b: "):
        optimizer.apply([[1.0, 1.0], None], variables)
    optimizers.SGD().build(variables)  # moves them
    before = [v.numpy() for v in variables]
    optimizer.apply([[1.0, np.inf], None], variables)
    assert same(before, [v.numpy() for v in variables])
    optimizer.apply([[1.0, 1.0]], variables[:1])
    assert variables[0].numpy()[0] != before[0][0]
    whole = gpudl.Variable(np.ones(2))
    several = LossScaleOptimizer(optimizers.SGD(1.0), 1.0)
    several.apply([np.ones(2), [1.0, 1.0], [[np.nan]]], [whole, *pair_of_variables()])
    assert whole.numpy().tolist() == [1.0, 1.0], "all or none, whatever their dtypes"


def test_faces_of_the_inner_optimizer() -> None:
    inner = optimizers.AdamW(0.25)
    optimizer = LossScaleOptimizer(inner)
    assert (optimizer.initial_scale, optimizer.dynamic_growth_steps) == (2.0**15, 2000)
    assert not optimizer.built
    optimizer.exclude_from_weight_decay(var_names=["b"])
    variables = pair_of_variables()
    optimizer.build(variables)
    assert optimizer.built
    assert [v.name for v in optimizer.variables[:4]] == ["step_counter", "dynamic_scale", "iteration", "learning_rate"]
    optimizer.learning_rate = 0.5
    assert float(inner.learning_rate) == float(optimizer.learning_rate) == 0.5
    assert optimizer.apply_gradients([([0.0, 0.0], variables[0]), ([[0.0]], variables[1])]) is inner.iterations
    assert variables[1].numpy() == 3.0
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert isinstance(again, LossScaleOptimizer)
    assert again.get_config() == optimizer.get_config()
    assert isinstance(again.inner_optimizer, optimizers.AdamW)


def test_errors() -> None:
    inner = optimizers.SGD()
    for value in ("sgd", None):
        with pytest.raises(
            TypeError, match=rf"^LossScaleOptimizer wraps an optimizer such as Adam\(\), got {value!r}\.$"
        ):
            LossScaleOptimizer(value)  # type: ignore[arg-type]
    nested = r"^LossScaleOptimizer got another LossScaleOptimizer: .* its inner_optimizer\.$"
    with pytest.raises(ValueError, match=nested):
        LossScaleOptimizer(LossScaleOptimizer(inner))
    with pytest.raises(
        ValueError, match=r"^LossScaleOptimizer has no argument 'clipnorm'\. Give clipnorm to the inner"
    ):
        LossScaleOptimizer(inner, clipnorm=1.0)
    with pytest.raises(ValueError, match=r"^LossScaleOptimizer has no argument 'dynamic'\. Take it out\.$"):
        LossScaleOptimizer(inner, dynamic=False)
    assert LossScaleOptimizer(inner, clipnorm=None, use_ema=False).inner_optimizer is inner
    for scale in (0, -1.0, float("inf"), float("nan")):
        with pytest.raises(
            ValueError, match=rf"^initial_scale must be a positive number such as 2\.0\*\*15, got {scale}"
        ):
            LossScaleOptimizer(inner, scale)
    for steps in (0, 1.5):
        with pytest.raises(ValueError, match=rf"^dynamic_growth_steps must be a positive integer, got {steps}\.$"):
            LossScaleOptimizer(inner, dynamic_growth_steps=steps)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^the optimizer does not know the variables yet"):
        LossScaleOptimizer(inner).apply([[1.0]])
    optimizer, variables = LossScaleOptimizer(inner, 8.0), pair_of_variables()
    with pytest.raises(ValueError, match=r"^got 1 gradients for 2 variables"):
        optimizer.apply([[1.0, 1.0]], variables)
    assert scale_and_count(optimizer) == (8.0, 0)


def test_a_replayed_training_is_the_eager_one_with_steps_left_out() -> None:
    x, y = digits()
    x[5] = np.nan  # the steps of this sample are bad
    states, histories = [], []
    for eagerly in (False, True):
        optimizer = LossScaleOptimizer(optimizers.Adam(), 64.0, dynamic_growth_steps=2)
        model = mlp(optimizer=optimizer, run_eagerly=eagerly)
        with pytest.warns(RuntimeWarning, match="the loss became NaN"):
            history = model.fit(x, y, batch_size=16, epochs=3, verbose=0)
        states.append(state_of(model))
        histories.append([str(v) for v in history.history["loss"]])
        assert int(optimizer.iterations) == 3 * 4
        assert all(np.isfinite(w).all() for w in model.get_weights())
    assert same(*states)
    assert histories[0] == histories[1]
    assert states[0][5].item() != 64.0, "the scale lives on in the plan"


def test_no_number_of_the_scale_is_frozen_into_the_plan() -> None:
    x, y = digits(16)
    model = mlp(optimizer=LossScaleOptimizer(optimizers.SGD(), 64.0, dynamic_growth_steps=1))
    model.fit(x, y, batch_size=16, epochs=3, verbose=0)
    assert len(model._train.entries) == 1
    assert float(model.optimizer.dynamic_scale) == 512.0
    model.optimizer.dynamic_scale.assign(2.0)
    model.fit(x, y, batch_size=16, epochs=1, verbose=0)
    assert float(model.optimizer.dynamic_scale) == 4.0


def linear(of: Any, optimizer: Any) -> Any:
    """Return a model whose every number is exact in float16 as long as the steps are few."""
    model = of.Sequential(
        [of.layers.Input((2,)), of.layers.Dense(1, kernel_initializer="zeros", dtype="mixed_float16")]
    )
    model.compile(optimizer(of), loss="mse")
    return model


@parity
@pytest.mark.parametrize("inner", ["SGD", "momentum"])
def test_keras_takes_the_same_steps_bit_for_bit(inner: str) -> None:
    keras = keras_or_skip()

    def optimizer(of: Any) -> Any:
        rule = of.optimizers.SGD(0.125, momentum=0.5 if inner == "momentum" else 0.0)
        return of.optimizers.LossScaleOptimizer(rule, initial_scale=2.0**15, dynamic_growth_steps=2)

    ours, theirs = linear(gpudl, optimizer), linear(keras, optimizer)
    x = np.array([[1, 0], [0, 1], [1, 1], [1, -1]], np.float32)
    courses = []
    for model in (ours, theirs):
        course = []
        # The middle steps overflow: 2**15 times a gradient of some units is above what float16 holds.
        for y in (0.25, 0.125, 4.0, 4.0, 0.5, 0.5, 0.25):
            model.train_on_batch(x, np.full((4, 1), y, np.float32))
            scale, count = float(model.optimizer.dynamic_scale), int(np.asarray(model.optimizer.step_counter))
            weights = [w.tobytes() for w in model.get_weights()]
            course.append((scale, count, int(np.asarray(model.optimizer.iterations)), weights))
        courses.append(course)
    assert courses[0] == courses[1]
    assert [step[0] / 2.0**15 for step in courses[0]] == [1, 2, 1, 0.5, 0.5, 1, 1]


def test_a_step_that_is_left_out_is_no_word_to_the_host() -> None:
    x, y = digits(16)
    with installed() as meter:
        backend.use("cupy")
        model = mlp(optimizer=LossScaleOptimizer(optimizers.Adam()))
        model.optimizer.dynamic_scale.assign(np.inf)
        costs = []
        for _ in range(4):
            meter.reset()
            model.fit(x, y, batch_size=len(x), epochs=1, verbose=0)
            costs.append((meter.host_to_device, meter.device_to_host, meter.synchronizations, meter.launches))
        assert int(model.optimizer.iterations) == 0
        model.optimizer.dynamic_scale.assign(1.0)
        meter.reset()
        model.fit(x, y, batch_size=len(x), epochs=1, verbose=0)
        costs.append((meter.host_to_device, meter.device_to_host, meter.synchronizations, meter.launches))
        assert int(model.optimizer.iterations) == 1
    assert len(set(costs[1:])) == 1
