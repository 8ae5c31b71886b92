"""Random changes of a model between trainings and within them: recorded, and op by op, bit for bit.

One model keeps the plans that it has recorded and one computes op by op. Whatever is done to both of them has to take
effect in both at once.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import gpudl
from fuzz.programs import Program, assert_same_bits, run
from fuzz.stacks import random_stack, random_weights
from fuzz.training import random_optimizer, state_of

Model = gpudl.Sequential
Change = Callable[[Model], Model]
UNITS, SAMPLES = 3, 9


class Changes:
    """Draws changes, each to be made to both models."""

    def __init__(self, p: Program) -> None:
        self.p = p

    def compile(self) -> Change:
        kind, options = random_optimizer(self.p)
        loss = self.p.one_of(("mse", "mae", "huber", "binary_crossentropy"))
        metrics = self.p.one_of(([], ["mae"], ["mse", "mae"]))
        self.p.say(f"  compile({kind}({options}), {loss!r}, metrics={metrics})")

        def change(model: Model) -> Model:
            optimizer = getattr(gpudl.optimizers, kind)(**options)
            model.compile(optimizer, loss, metrics=metrics, run_eagerly=model.run_eagerly)
            return model

        return change

    def freeze(self, trainable: bool = False) -> Change:
        place = self.p.integer(0, 9)
        self.p.say(f"  layers[{place} % len(layers)].trainable = {trainable}")

        def change(model: Model) -> Model:
            model.layers[place % len(model.layers)].trainable = trainable
            return model

        return change

    def thaw(self) -> Change:
        return self.freeze(True)

    def learning_rate(self) -> Change:
        rate = self.p.one_of((0.003, 0.02))
        self.p.say(f"  optimizer.learning_rate = {rate}")

        def change(model: Model) -> Model:
            model.optimizer.learning_rate = rate
            return model

        return change

    def replace_top(self) -> Change:
        """Take the last layer off and put another one in its place."""
        activation = self.p.one_of((None, "sigmoid", "tanh"))
        seed = self.p.integer(0, 999)
        self.p.say(f"  pop(); add(Dense({UNITS}, {activation!r}))")

        def change(model: Model) -> Model:
            model.pop()
            start = gpudl.initializers.GlorotUniform(seed=seed)
            model.add(gpudl.layers.Dense(UNITS, activation, kernel_initializer=start))
            return model

        return change

    def inner(self) -> Change:
        """Take the last layer of a model inside the model off, and put another one in its place."""
        seed = self.p.integer(0, 999)
        activation = self.p.one_of(("relu", "tanh"))
        self.p.say(f"  the inner model: pop(); add(Dense(4, {activation!r}))")

        def change(model: Model) -> Model:
            inner = model.layers[-2]
            inner.pop()
            start = gpudl.initializers.GlorotUniform(seed=seed)
            inner.add(gpudl.layers.Dense(4, activation, kernel_initializer=start))
            return model

        return change

    def weights(self) -> Change:
        values = self.p.normal(UNITS)
        self.p.say("  layers[-1].bias.assign(...)")

        def change(model: Model) -> Model:
            model.layers[-1].bias.assign(values)
            return model

        return change

    def copied(self) -> Change:
        self.p.say("  go on with copy.deepcopy(model)")
        return copy.deepcopy

    def pickled(self) -> Change:
        self.p.say("  go on with pickle.loads(pickle.dumps(model))")
        return lambda model: pickle.loads(pickle.dumps(model))

    def copied_and_trained(self, x: np.ndarray, y: np.ndarray) -> Change:
        """Train a copy, and go on with the original, which must not have changed."""
        self.p.say("  train copy.deepcopy(model)")

        def change(model: Model) -> Model:
            before = state_of(model)
            other = copy.deepcopy(model)
            other.fit(x, y, shuffle=False, verbose=0)
            for ours, expected in zip(state_of(model), before, strict=True):
                assert_same_bits(ours, expected, "the original of a copy that was trained")
            return model

        return change


class At(gpudl.callbacks.Callback):
    """Makes a change when an epoch or a batch ends."""

    def __init__(self, moment: str, number: int, change: Change) -> None:
        super().__init__()
        self.moment, self.number, self.change = moment, number, change

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.moment == "epoch" and epoch == self.number:
            self.change(self.model)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.moment == "batch" and batch == self.number:
            self.change(self.model)


def _check(p: Program) -> None:
    stack = random_stack(p, p.integer(1, 2), dropout=True)
    p.say(stack)
    drawn = None
    models: list[Model] = []
    for eager in (False, True):
        inner = gpudl.Sequential([gpudl.layers.Dense(5, "relu"), gpudl.layers.Dense(4)], name="inner")
        last = gpudl.layers.Dense(UNITS)
        parts = [part.make(gpudl.layers) for part in stack.parts]
        model = gpudl.Sequential([*parts, gpudl.layers.Flatten(), inner, last])
        model.build((None, *stack.input_shape))
        drawn = drawn or [random_weights(p, layer) for layer in model.layers]
        for layer, weights in zip(model.layers, drawn, strict=True):
            layer.set_weights(weights)
        model.compile("sgd", "mse", run_eagerly=eager)
        models.append(model)
    x = p.normal(SAMPLES, *stack.input_shape)
    y = p.rng.random((SAMPLES, UNITS)).astype(np.float32)
    changes = Changes(p)
    calm = (changes.compile, changes.freeze, changes.learning_rate, changes.weights)
    rough = (changes.thaw, changes.replace_top, changes.inner, changes.copied, changes.pickled)
    for turn in range(p.integer(2, 6)):
        callbacks: list[Any] = []
        if p.chance(0.35):
            moment, number = p.one_of(("epoch", "batch")), p.integer(0, 1)
            p.say(f"fit, and at the end of {moment} {number}:")
            change = p.one_of(calm if moment == "epoch" else calm[1:])()
            callbacks = [At(moment, number, change)]
        else:
            p.say("fit")
        histories = [
            m.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=callbacks).history for m in models
        ]
        _compare(models, histories, x, f"turn {turn}")
        chosen = p.one_of((*calm, *rough, None))
        change = changes.copied_and_trained(x, y) if chosen is None else chosen()
        models = [change(m) for m in models]
        if p.chance(0.5):
            p.say("predict")
            _compare(models, [{}, {}], x, f"after the change of turn {turn}")


def _compare(models: list[Model], histories: list[Any], x: np.ndarray, what: str) -> None:
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        assert_same_bits(values, histories[1][name], f"{what}: {name}")
    predictions = [m.predict(x, batch_size=5, verbose=0) for m in models]
    assert_same_bits(*predictions, f"{what}: predictions")
    names = [v.path for v in (*models[0].weights, *models[0].optimizer.variables)]
    for name, ours, expected in zip(names, *map(state_of, models), strict=True):
        assert_same_bits(ours, expected, f"{what}: {name}")


def _check_quietly(p: Program) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the model has no trainable weights")
        _check(p)


def test_changes_take_effect_at_once() -> None:
    run(_check_quietly, count=8)
