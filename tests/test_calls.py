"""How often a model runs before its first step computes, and how many Python calls a replayed batch takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from python_calls import python_calls

from gpudl import Model, Sequential, callbacks, layers, losses

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(70, 4)).astype(np.float32), np.arange(70) % 3
MOST_RUNS = 2  # one for the shapes, one to be recorded
MOST_CALLS = 48  # of Python functions a batch


class Counting(layers.Layer):
    """Passes its inputs on, and notes that it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        return x


class Derived(Model):
    def __init__(self, counting: Counting) -> None:
        super().__init__()
        self.counting, self.out = counting, layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.out(self.counting(x))


MODELS: dict[str, Callable[[Counting], Any]] = {
    "Sequential": lambda counting: Sequential([layers.Dense(4), counting, layers.Dense(3)]),
    "nested": lambda counting: Sequential([Sequential([layers.Dense(4), counting]), layers.Dense(3)]),
    "derived": Derived,
}
FITS: dict[str, dict[str, Any]] = {
    "alone": {},
    "with validation": {"validation_data": (X, Y)},
    "with a smaller validation": {"validation_split": 0.2},
    "with validation batches of another size": {"validation_data": (X[:9], Y[:9]), "validation_batch_size": 4},
}


class FirstStep(callbacks.Callback):
    def __init__(self, counting: Counting) -> None:
        self.counting, self.runs = counting, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.runs = self.runs or self.counting.calls


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("kind", MODELS)
def test_a_model_runs_twice_before_the_first_step_computes(kind: str, fit: str) -> None:
    counting = Counting()
    model, first = MODELS[kind](counting), FirstStep(counting)
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(X, Y, verbose=0, callbacks=[first], **FITS[fit])
    assert first.runs == MOST_RUNS


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_runs_once_before_it_predicts(kind: str) -> None:
    counting = Counting()
    MODELS[kind](counting).predict(X, batch_size=70, verbose=0)
    assert counting.calls == 1


def test_the_shapes_of_layers_follow_from_the_first_call_when_they_are_asked_for() -> None:
    counting = Counting()
    model = MODELS["nested"](counting)
    model.predict(X, batch_size=70, verbose=0)
    inner, last = model.layers
    assert (inner.output_shape, last.output_shape, model.output_shape) == ((None, 4), (None, 3), (None, 3))
    assert (inner.layers[0].output_shape, counting.output_shape) == ((None, 4), (None, 4))
    calls = counting.calls
    model.summary(print_fn=lambda text: None)
    assert (model.output_shape, counting.calls) == ((None, 3), calls)


def test_asking_for_a_shape_leaves_the_losses_of_the_last_call() -> None:
    layer = layers.Dense(2, activity_regularizer="l2")
    model = Sequential([layer])
    model(X)
    (before,) = model.losses
    assert layer.output_shape == (None, 2)
    assert [float(loss) for loss in model.losses] == [float(before)]


NETS: dict[str, Callable[[], Any]] = {
    "dense": lambda: Sequential([layers.Dense(16, activation="relu"), layers.Dense(3)]),
    "convnet": lambda: Sequential(
        [
            layers.Reshape((2, 2, 1)),
            layers.Conv2D(4, 2, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    ),
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("net", NETS)
def test_a_replayed_batch_takes_few_python_calls(net: str, optimizer: str) -> None:
    model = NETS[net]()
    model.compile(optimizer, losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])

    def calls(batches: int) -> int:
        x, y = np.resize(X, (32 * batches, 4)), np.resize(Y, 32 * batches)
        model.fit(x, y, verbose=0)
        return python_calls(lambda: model.fit(x, y, verbose=0))

    few, many = calls(10), calls(60)
    assert (many - few) / 50 <= MOST_CALLS
