"""Optimizers: the formulas, flat against one by one, replay against eager, Keras, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import strict_cupy
from keras_peer import keras_or_skip, parity
from public_names import classes

import gpudl
from gpudl import constraints, ops, optimizers, regularizers
from gpudl.engine.state import reference_only

F4 = np.float32
EPS = float(np.finfo(F4).eps)
STEPS = 30
SHAPES = {"kernel": (3, 4), "bias": (4,), "filter": (2, 2, 3)}
SLOTS = ("momentum", "velocity")

CASES = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.1, "clipnorm": 1.5}),
    ("RMSprop", {"learning_rate": 0.01}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.5, "global_clipnorm": 2.0}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True, "rho": 0.8}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.9, "weight_decay": 0.02}),
    ("Adam", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4, "clipvalue": 0.5}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    ("AdamW", {"learning_rate": 0.01}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.3, "amsgrad": True}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-3}),
]
NAMES = [f"{kind}-{'-'.join(options) or 'plain'}" for kind, options in CASES]
each_case = pytest.mark.parametrize(("kind", "options"), CASES, ids=NAMES)


def make(kind: str, options: dict[str, Any]) -> optimizers.Optimizer:
    return getattr(optimizers, kind)(**options)


def first_values() -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.standard_normal(shape).astype(F4) for shape in SHAPES.values()]


def gradients_of(step: int) -> list[np.ndarray]:
    draw = np.random.default_rng(100 + step)
    return [draw.standard_normal(shape).astype(F4) for shape in SHAPES.values()]


def variables() -> list[gpudl.Variable]:
    return [gpudl.Variable(value, name=name) for name, value in zip(SHAPES, first_values(), strict=True)]


def values(of: list[Any]) -> list[np.ndarray]:
    return [np.asarray(v) for v in of]


def assert_same_bits(a: list[Any], b: list[Any]) -> None:
    for x, y in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype


# The formulas once more, in float64 and without the engine. Each takes the weights, the gradient, the
# number of the update and a dict that starts empty, and returns the step to subtract.


def sgd_step(g: Any, t: int, s: dict[str, Any], *, lr: float, momentum: float = 0, nesterov: bool = False) -> Any:
    s["m"] = momentum * s.get("m", 0) + lr * g
    return momentum * s["m"] + lr * g if nesterov else s["m"]


def rmsprop_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    rho: float = 0.9,
    momentum: float = 0,
    epsilon: float = 1e-7,
    centered: bool = False,
) -> Any:
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
    s["mean"] = rho * s.get("mean", 0) + (1 - rho) * g
    variance = s["v"] - s["mean"] ** 2 if centered else s["v"]
    s["m"] = momentum * s.get("m", 0) + lr * g / np.sqrt(variance + epsilon)
    return s["m"]


def adam_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
) -> Any:
    s["m"] = beta_1 * s.get("m", 0) + (1 - beta_1) * g
    s["v"] = beta_2 * s.get("v", 0) + (1 - beta_2) * g**2
    s["largest"] = np.maximum(s.get("largest", 0), s["v"])
    root = np.sqrt(s["largest"] if amsgrad else s["v"])
    return lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * s["m"] / (root + epsilon)


def adagrad_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
) -> Any:
    s["a"] = s.get("a", initial_accumulator_value) + g**2
    return lr * g / np.sqrt(s["a"] + epsilon)


RULES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "SGD": (sgd_step, {"learning_rate": 0.01}),
    "RMSprop": (rmsprop_step, {"learning_rate": 0.001}),
    "Adam": (adam_step, {"learning_rate": 0.001}),
    "AdamW": (adam_step, {"learning_rate": 0.001, "weight_decay": 0.004}),
    "Adagrad": (adagrad_step, {"learning_rate": 0.001}),
}


def limited(grads: list[Any], clipnorm: Any, clipvalue: Any, global_clipnorm: Any) -> list[Any]:
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in grads]
    if clipnorm:
        return [g * min(1, clipnorm / np.sqrt((g**2).sum())) for g in grads]
    if global_clipnorm:
        total = np.sqrt(sum((g**2).sum() for g in grads))
        return [g * min(1, global_clipnorm / total) for g in grads]
    return grads


def exact(kind: str, options: dict[str, Any]) -> tuple[list[Any], float]:
    """Return the float64 weights after all the steps, and how far float32 may be from them."""
    rule, defaults = RULES[kind]
    settings = {**defaults, **options}
    lr, decay = settings.pop("learning_rate"), settings.pop("weight_decay", None) or 0
    clips = [settings.pop(name, None) for name in ("clipnorm", "clipvalue", "global_clipnorm")]
    weights = [w.astype(np.float64) for w in first_values()]
    states: list[dict[str, Any]] = [{} for _ in weights]
    largest_weight = largest_step = 0.0
    for t in range(1, STEPS + 1):
        grads = limited([g.astype(np.float64) for g in gradients_of(t)], *clips)
        for i, g in enumerate(grads):
            weights[i] = weights[i] * (1 - decay * lr)
            step = rule(g, t, states[i], lr=lr, **settings)
            weights[i] = weights[i] - step
            largest_weight = max(largest_weight, np.abs(weights[i]).max())
            largest_step = max(largest_step, np.abs(step).max())
    # Each update rounds the weight a few times, and a step of its own. What a step loses: momentum of 0.9
    # carries ten roundings along; Adam's 1 - beta_2**t is, in float32, uncertain by EPS / 2 / (1 - beta_2).
    lost = 16 + (1 / (1 - settings.get("beta_2", 0.999)) if kind.startswith("Adam") else 0)
    return weights, STEPS * EPS / 2 * (4 * largest_weight + lost * largest_step)


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


class Problem:
    """Least squares with a bias, whose step is the same eagerly and recorded."""

    def __init__(self, optimizer: optimizers.Optimizer, recorded: bool) -> None:
        draw = np.random.default_rng(5)
        self.w = gpudl.Variable(draw.standard_normal((3, 2)).astype(F4), name="w")
        self.b = gpudl.Variable(np.zeros(2, F4), name="b")
        self.optimizer = optimizer
        optimizer.build([self.w, self.b])
        self.step: Any = gpudl.traced(self._step) if recorded else self._step

    def _loss(self, x: Any, y: Any) -> Any:
        return ops.mean(ops.square(x @ self.w + self.b - y))

    def _step(self, x: Any, y: Any) -> Any:
        loss = self._loss(x, y)
        grads = gpudl.grad(loss, [self.w, self.b])
        self.optimizer.apply(grads, [self.w, self.b])
        return loss

    def run(self, steps: int, start: int = 0) -> list[float]:
        losses = []
        for t in range(start, start + steps):
            draw = np.random.default_rng(t)
            x, y = (draw.standard_normal(shape).astype(F4) for shape in ((8, 3), (8, 2)))
            losses.append(float(self.step(gpudl.convert_to_tensor(x), gpudl.convert_to_tensor(y))))
        return losses

    def everything(self) -> list[Any]:
        return [self.w, self.b, *self.optimizer.variables]


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

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any, **slots: Any) -> None:
            ops.assign_add_(slots["count"], ops.ones_like(gradient))
            ops.assign_add_(variable, -(learning_rate * ops.sign(gradient)))

    weights, optimizer = variables(), SignDescent(0.5)
    optimizer.apply(gradients_of(0), weights)
    for w, g, before in zip(weights, gradients_of(0), first_values(), strict=True):
        np.testing.assert_array_equal(w.numpy(), before - F4(0.5) * np.sign(g))
    assert optimizer.variables[2].name == "kernel_count"
    with pytest.raises(NotImplementedError, match="Optimizer needs an update_step"):
        optimizers.Optimizer(0.1).apply(gradients_of(0), variables())


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: optimizers.get("rmspropp"), ValueError, "Unknown optimizer: 'rmspropp'.* Did you mean 'rmsprop'"),
        (lambda: optimizers.get(len), TypeError, "expected an optimizer or its name"),
        (lambda: optimizers.SGD(learning_rate=lambda: 0.1), ValueError, "schedules and functions are not supp"),
        (lambda: optimizers.SGD(learning_rate="fast"), ValueError, "must be a number such as 0.001, got 'fast'"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, "SGD: momentum must be a number from 0 to 1, got 1.5"),
        (lambda: optimizers.SGD(decay=0.1), ValueError, "SGD has no argument 'decay'"),
        (lambda: optimizers.Adam(use_ema=True), ValueError, r"Adam\(use_ema=True\) is not supported yet"),
        (
            lambda: optimizers.Adam(gradient_accumulation_steps=2),
            ValueError,
            r"Adam\(gradient_accumulation_steps=2\) is not supported",
        ),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "AdamW needs a number as weight_decay"),
        (
            lambda: optimizers.SGD(clipnorm=1.0, clipvalue=2.0),
            ValueError,
            "in one way only, got clipnorm=1.0 and clipvalue=2.0",
        ),
        (lambda: optimizers.SGD().apply([1.0]), ValueError, r"call optimizer.build\(variables\)"),
        (lambda: optimizers.SGD().build([]), ValueError, "no variables to optimize"),
        (
            lambda: optimizers.SGD().apply([np.ones(3)], [np.ones(3)]),
            TypeError,
            "changes gpudl.Variable objects, got ndarray",
        ),
        (
            lambda: optimizers.SGD().apply([np.ones(3)], [gpudl.Variable(np.ones(3, np.int32), name="n")]),
            TypeError,
            "variable 'n' is int32, and only floats",
        ),
        (lambda: optimizers.SGD().build([(v := variables()[0]), v]), ValueError, "given twice"),
        (
            lambda: optimizers.SGD().apply(gradients_of(0)[::-1], variables()),
            gpudl.ShapeError,
            r"gradient of 'kernel' has shape \(2, 2, 3\), expected the variable's \(3, 4\)",
        ),
        (lambda: optimizers.SGD().apply([1.0], variables()), ValueError, "got 1 gradients for 3 variables"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_an_unknown_variable_is_refused() -> None:
    optimizer = optimizers.SGD()
    optimizer.build(variables()[:1])
    with pytest.raises(ValueError, match="'bias' is not one of those that the optimizer was built with"):
        optimizer.apply([gradients_of(0)[1]], [variables()[1]])


def test_a_refused_gradient_changes_nothing() -> None:
    weights, optimizer = variables(), optimizers.SGD(1.0)
    g = gradients_of(0)
    with pytest.raises(gpudl.ShapeError):
        optimizer.apply([g[0], g[1], g[1]], weights)
    assert_same_bits(weights, first_values())
    assert int(optimizer.iterations) == 0


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


@parity
@each_case
def test_keras_goes_the_same_way(keras: Any, kind: str, options: dict[str, Any]) -> None:
    theirs, weights = getattr(keras.optimizers, kind)(**options), variables()
    ours = make(kind, options)
    variables_there = [keras.Variable(v, name=n) for n, v in zip(SHAPES, first_values(), strict=True)]
    theirs.build(variables_there)
    ours.build(weights)
    assert [v.shape for v in ours.variables] == [tuple(v.shape) for v in theirs.variables]
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    for t in range(1, STEPS + 1):
        ours.apply(gradients_of(t))
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients_of(t)])
    bound = 2 * exact(kind, options)[1]  # both round
    for mine, there in zip(weights, variables_there, strict=True):
        np.testing.assert_allclose(mine.numpy(), np.asarray(there), rtol=0, atol=bound)
    config = theirs.get_config()
    again = make(kind, config).get_config()
    assert {k: v for k, v in again.items() if k in config} == {k: config[k] for k in again if k in config}


@parity
@pytest.mark.parametrize("kind", list(RULES))
def test_keras_has_the_same_defaults(keras: Any, kind: str) -> None:
    theirs, ours = getattr(keras.optimizers, kind)().get_config(), make(kind, {}).get_config()
    shared = set(ours) - {"name"}
    assert {k: ours[k] for k in shared} == {k: theirs[k] for k in shared}


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
    assert classes(optimizers, optimizers.Optimizer) - {"LossScaleOptimizer"} == {name for name, _ in CASES}


@pytest.mark.parametrize(
    ("optimizer", "option", "value", "missing"),
    [
        (optimizers.SGD, "momentum", 0.9, "momentum"),
        (optimizers.RMSprop, "momentum", 0.9, "momentum"),
        (optimizers.RMSprop, "centered", True, "average_gradient"),
        (optimizers.Adam, "amsgrad", True, "velocity_hat"),
    ],
)
def test_an_option_that_needs_slots_comes_too_late(optimizer: Any, option: str, value: Any, missing: str) -> None:
    model = gpudl.Sequential([gpudl.layers.Input((2,)), gpudl.layers.Dense(1)])
    model.compile(optimizer(0.1), "mse")
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    setattr(model.optimizer, option, value)
    assert len(model.optimizer.variables) >= 2
    with pytest.raises(ValueError, match=rf"^\w+ keeps no {missing}: it was built .* Make a new optimizer with these"):
        model.fit(x, y, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
