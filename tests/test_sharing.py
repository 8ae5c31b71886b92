"""One optimizer for several models or parts of one, several for one model, and layers that are frozen in turns."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest
from small_models import digits, mlp, same

import gpudl
from gpudl import layers, ops, optimizers
from gpudl.engine.flat import place_of
from gpudl.engine.state import layout_epoch

STATELESS = {  # what they do does not depend on the count of updates, so that each may have its own
    "momentum": lambda: optimizers.SGD(0.05, momentum=0.9),
    "rmsprop": lambda: optimizers.RMSprop(0.01, centered=True, momentum=0.5),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "decay": lambda: optimizers.SGD(0.05, momentum=0.9, weight_decay=0.1),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.05, momentum=0.9), initial_scale=8.0),
}
each = pytest.mark.parametrize("kind", STATELESS)
SHAPES = ((3, 2), (4,), (2, 2), (1,), (5,))


def values_of(variables: list[Any]) -> list[np.ndarray]:
    return [v.numpy() for v in variables]


def net(optimizer: Any, seed: int, **options: Any) -> gpudl.Sequential:
    gpudl.utils.set_random_seed(seed)
    model = gpudl.Sequential([layers.Dense(4, activation="tanh", input_shape=(3,)), layers.Dense(1)])
    model.compile(optimizer, "mse", **options)
    return model


def batch(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((8, 3)).astype(np.float32), rng.standard_normal((8, 1)).astype(np.float32)


@each
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_two_models_in_turns_train_as_each_would_with_its_own(kind: str, run_eagerly: bool) -> None:
    shared = STATELESS[kind]()
    together = [net(shared, seed, run_eagerly=run_eagerly) for seed in (1, 2)]
    alone = [net(STATELESS[kind](), seed, run_eagerly=run_eagerly) for seed in (1, 2)]
    for turn in range(6):
        for models in (together, alone):
            losses = [model.train_on_batch(*batch(10 * turn + n)) for n, model in enumerate(models)]
        assert np.isfinite(losses).all()
    for one, other in zip(together, alone, strict=True):
        assert same(one.get_weights(), other.get_weights())
    assert int(shared.iterations) == 12


def test_adam_keeps_the_moments_of_both_models_and_counts_the_steps_of_both() -> None:
    shared = optimizers.Adam(0.05)
    weights = [gpudl.Variable([1.0, -1.0], name="a"), gpudl.Variable([2.0], name="b")]
    expected, m, v = [w.numpy().astype(float) for w in weights], [0.0, 0.0], [0.0, 0.0]
    rng = np.random.default_rng(0)
    for step in range(1, 13):
        at = step % 2
        g = rng.standard_normal(expected[at].shape).astype(np.float32)
        shared.build([weights[at]])
        shared.apply([g], [weights[at]])
        m[at] += 0.1 * (g - m[at])
        v[at] += 0.001 * (np.square(g, dtype=float) - v[at])
        expected[at] -= 0.05 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * m[at] / (np.sqrt(v[at]) + 1e-7)
    for weight, right in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight.numpy(), right, rtol=2e-5)


@each
def test_turns_move_nothing_and_record_nothing(kind: str) -> None:
    shared = STATELESS[kind]()
    first, second = net(shared, 1), net(shared, 2)
    for model in (first, second, first, second):
        model.train_on_batch(*batch(0))
    epoch, plans = layout_epoch[0], [list(m._train.entries.values()) for m in (first, second)]
    for _ in range(3):
        for model in (first, second):
            model.train_on_batch(*batch(1))
            model.fit(*batch(1), batch_size=8, verbose=0)
    assert layout_epoch[0] == epoch
    for model, (plan,) in zip((first, second), plans, strict=True):
        assert list(model._train.entries.values()) == [plan]


@each
@pytest.mark.parametrize("seed", range(4))
def test_any_sets_of_variables_in_any_order_keep_one_slot_each(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]
    shared, weights = STATELESS[kind](), [gpudl.Variable(value) for value in start]
    own, apart = [STATELESS[kind]() for _ in SHAPES], [gpudl.Variable(value) for value in start]
    places: dict[int, Any] = {}
    for _ in range(12):
        chosen = rng.permutation(len(SHAPES))[: rng.integers(1, len(SHAPES) + 1)]
        if kind == "scaled":  # its scale is one for all, so all of them see the same steps
            chosen = np.arange(len(SHAPES))
        grads = [rng.standard_normal(SHAPES[n]).astype(np.float32) for n in chosen]
        shared.build([weights[n] for n in chosen])
        shared.apply(grads, [weights[n] for n in chosen])
        for n, g in zip(chosen, grads, strict=True):
            own[n].apply([g], [apart[n]])
            assert places.setdefault(n, weights[n].data) is weights[n].data  # it moves once, and never again
    assert same(values_of(weights), values_of(apart))
    assert len({v.name for v in shared.variables}) <= len(shared.variables) <= 2 + len(SHAPES) * 3 + 2


@each
def test_a_part_and_the_whole_in_turns(kind: str) -> None:
    def trained(run_eagerly: bool) -> tuple[list[np.ndarray], Any]:
        gpudl.utils.set_random_seed(7)
        optimizer = STATELESS[kind]()
        part = gpudl.Sequential([layers.Dense(3, activation="tanh", input_shape=(3,)), layers.Dense(1)])
        whole = gpudl.Sequential([layers.Dense(3, input_shape=(3,)), part])
        for model in (part, whole):
            model.compile(optimizer, "mse", run_eagerly=run_eagerly)
        for turn in range(4):
            part.train_on_batch(*batch(turn))
            whole.train_on_batch(*batch(turn))
        assert len({id(place_of(w).group) for w in part.weights}) == 1  # type: ignore[union-attr]
        return whole.get_weights(), whole

    replayed, whole = trained(False)
    eager, _ = trained(True)
    assert same(replayed, eager)
    assert len(whole._train.entries) == 1


@pytest.mark.filterwarnings("ignore:no gradient")
def test_neighbours_are_updated_by_one_call() -> None:
    calls = []

    class Counting(optimizers.SGD):
        def flat_step(self, gradient: Any, variable: Any, learning_rate: Any, **slots: Any) -> None:
            calls.append(variable.size)
            super().flat_step(gradient, variable, learning_rate, **slots)

    optimizer, weights = Counting(0.1), [gpudl.Variable(np.zeros(shape, np.float32)) for shape in SHAPES]
    grads = [np.ones(shape, np.float32) for shape in SHAPES]
    optimizer.build(weights)
    for chosen, sizes in (((0, 1, 2, 3, 4), [20]), ((1, 2, 3), [9]), ((4, 0, 1), [10, 5]), ((2,), [4])):
        calls.clear()
        optimizer.apply([grads[n] for n in chosen], [weights[n] for n in chosen])
        assert sorted(calls, reverse=True) == sizes
    calls.clear()
    optimizer.apply([grads[0], None, *grads[2:]], weights)  # with a warning about the one that has none
    assert calls == [6, 10]


def test_a_second_optimizer_moves_nothing_and_has_its_own_slots() -> None:
    first, second = optimizers.SGD(0.1, momentum=0.5), optimizers.SGD(0.1, momentum=0.5)
    weights = [gpudl.Variable([1.0, 2.0]), gpudl.Variable([3.0])]
    first.build(weights)
    places = [w.data for w in weights]
    second.build(weights[1:])
    for optimizer, chosen in ((first, weights), (second, weights[1:]), (first, weights)):
        optimizer.apply([np.ones(w.shape, np.float32) for w in chosen], chosen)
    assert all(w.data is place for w, place in zip(weights, places, strict=True))
    np.testing.assert_allclose(weights[0].numpy(), [1 - 0.1 - 0.15, 2 - 0.1 - 0.15], rtol=1e-6)
    np.testing.assert_allclose(weights[1].numpy(), [3 - 0.1 - 0.1 - 0.15], rtol=1e-6)
    assert [v.size for v in second.variables[2:]] == [1]


def test_a_step_may_use_two_optimizers_on_the_same_weights() -> None:
    class Twice(gpudl.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data
            loss = self.compute_loss(x, y, self(x, training=True))
            grads = gpudl.grad(loss, self.trainable_weights)
            self.optimizer.apply(grads, self.trainable_weights)
            other.apply(grads[:1], self.trainable_weights[:1])
            return {"loss": loss}

    other = optimizers.RMSprop(0.01)
    model = Twice([layers.Dense(2, input_shape=(3,)), layers.Dense(1)])
    model.compile("adam", "mse")
    for _ in range(4):
        model.train_on_batch(*batch(0))
    assert int(other.iterations) == int(model.optimizer.iterations) == 4
    assert len(model._train.entries) == 1


def test_the_slots_of_a_deleted_model_go_with_it() -> None:
    shared = optimizers.Adam()
    kept, gone = net(shared, 1), net(shared, 2)
    for model in (kept, gone):
        model.train_on_batch(*batch(0))
    assert len(shared.variables) == 2 + 16
    slots = [weakref.ref(v.data.base) for v in shared.variables[-8:]]
    del gone, model
    gc.collect()
    assert len(shared.variables) == 2 + 8
    assert [slot() for slot in slots] == [None] * 8
    kept.train_on_batch(*batch(1))


def test_freezing_to_and_fro_keeps_slots_and_plans() -> None:
    """As a generator and its critic are trained in turns, one of them frozen."""
    x, y = digits()
    model = mlp(optimizer=optimizers.SGD(0.1, momentum=0.9))
    bottom, top = model.layers
    model.train_on_batch(x, y)
    for frozen, free in ((bottom, top), (top, bottom)) * 3:
        frozen.trainable, free.trainable = False, True
        before = frozen.get_weights()
        model.train_on_batch(x, y)
        assert same(before, frozen.get_weights())
    plans = list(model._train.entries.values())
    assert len(plans) == 3
    momentum = {v.name: v for v in model.optimizer.variables[2:]}
    assert all(v.numpy().any() for v in momentum.values())
    for layer in (top, bottom, bottom, top):
        layer.trainable = not layer.trainable
        model.train_on_batch(x, y)
    assert set(model._train.entries.values()) >= set(plans)
    assert len(model._train.entries) <= 4  # all free, either frozen, both


def test_layers_set_free_in_a_later_epoch_are_trained_from_then_on() -> None:
    x, y = digits()
    model = mlp()
    model.layers[0].trainable = False

    def free(epoch: int, logs: Any) -> None:
        model.layers[0].trainable = epoch == 1

    before = model.layers[0].get_weights()
    model.fit(x, y, epochs=1, verbose=0)
    assert same(before, model.layers[0].get_weights())
    model.fit(x, y, epochs=3, callbacks=[gpudl.callbacks.LambdaCallback(on_epoch_begin=free)], verbose=0)
    assert not same(before, model.layers[0].get_weights())


def test_a_copy_of_variables_and_their_optimizer_goes_on_by_itself() -> None:
    weights, optimizer = [gpudl.Variable([1.0, 2.0]), gpudl.Variable([3.0])], optimizers.Adam(0.1)
    grads = [np.ones(w.shape, np.float32) for w in weights]
    optimizer.apply(grads, weights)
    copies, other = copy.deepcopy((weights, optimizer))
    assert [v.name for v in other.variables] == [v.name for v in optimizer.variables]
    assert same(values_of(other.variables), values_of(optimizer.variables))
    other.apply(grads, copies)
    assert not same(values_of(weights), values_of(copies))
    assert int(optimizer.iterations) == 1
    optimizer.apply(grads, weights)
    assert same(values_of(weights), values_of(copies))
    assert same(values_of(other.variables), values_of(optimizer.variables))


def test_variables_are_still_refused_that_the_optimizer_was_not_built_with() -> None:
    optimizer, known = optimizers.SGD(), gpudl.Variable([1.0])
    optimizer.build([known])
    with pytest.raises(ValueError, match=r"'variable\w*' is not one of those that the optimizer was built with"):
        optimizer.apply([ops.ones_like(known)], [gpudl.Variable([2.0])])
    assert int(optimizer.iterations) == 0
