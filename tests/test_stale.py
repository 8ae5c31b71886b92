"""Nothing is replayed that would now be recorded otherwise: what is changed between steps takes effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import callbacks, constraints, layers, losses, metrics, optimizers, regularizers
from gpudl.engine.plan import entry
from gpudl.engine.plan.record import Budget

Change = Callable[[], None]
SCALE = 1.0


def scaled_by_a_closure() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    scale = 1.0

    def change(value: float) -> None:
        nonlocal scale
        scale = value

    return lambda x: x * scale, change


class Own(layers.Layer):
    """A layer whose call reads all that a user may think of."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 1.0
        self.factors = {"each": [1.0, 1.0]}
        self.more = [1.0]
        self.function, self.change_closure = scaled_by_a_closure()

    def call(self, x: Any) -> Any:
        x = x * self.factor * self.factors["each"][1] * self.more[0] * SCALE
        return self.function(x * (1 + 1e6 * gpudl.config.epsilon()))


class Lopsided(losses.Loss):
    """A loss with an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.tilt = 0.5

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return gpudl.ops.mean((y_pred - y_true) ** 2 + self.tilt * y_pred, axis=-1)


class Above(metrics.Mean):
    """A metric with an attribute."""

    def __init__(self) -> None:
        super().__init__("above")
        self.least = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(gpudl.ops.cast(y_pred > self.least, dtype=np.dtype("float32")))


@dataclass
class Parts:
    """A model, and all that may be changed of it."""

    model: gpudl.Model
    own: Own
    dense: layers.Dense
    dropout: layers.Dropout
    optimizer: optimizers.Optimizer
    loss: Lopsided
    metric: Above


def parts(nested: bool, eager: bool) -> Parts:
    gpudl.utils.set_random_seed(3)
    own, dropout = Own(), layers.Dropout(0.2)
    limited = {"kernel_regularizer": regularizers.L2(0.01), "kernel_constraint": constraints.MaxNorm(1.5)}
    dense = layers.Dense(4, activation="relu", **limited)
    inner = gpudl.Sequential([dense, own, dropout])
    stack = [gpudl.Sequential([inner])] if nested else [dense, own, dropout]
    made = Parts(
        gpudl.Sequential([layers.Input((3,)), *stack, layers.Dense(1)]),
        *(own, dense, dropout, optimizers.SGD(0.1, momentum=0.5, weight_decay=0.01), Lopsided(), Above()),
    )
    made.model.compile(made.optimizer, made.loss, metrics=[made.metric], run_eagerly=eager)
    return made


def set_scale(p: Parts) -> None:
    global SCALE  # noqa: PLW0603
    SCALE = 3.0


SEEN_AT_ONCE: dict[str, Callable[[Parts], None]] = {
    "dropout.rate": lambda p: setattr(p.dropout, "rate", 0.7),
    "optimizer.weight_decay": lambda p: setattr(p.optimizer, "weight_decay", 0.9),
    "no optimizer.weight_decay": lambda p: setattr(p.optimizer, "weight_decay", None),
    "optimizer.clipnorm": lambda p: setattr(p.optimizer, "clipnorm", 1e-3),
    "config.set_epsilon": lambda p: gpudl.config.set_epsilon(1e-5),
    "regularizer.l2": lambda p: setattr(p.dense.kernel_regularizer, "l2", 0.9),
    "variable.regularizer": lambda p: setattr(p.dense.kernel, "regularizer", regularizers.L1(0.3)),
    "constraint.max_value": lambda p: setattr(p.dense.kernel_constraint, "max_value", 0.25),
    "layer.activation": lambda p: setattr(p.dense, "activation", gpudl.activations.tanh),
    "own layer's attribute": lambda p: setattr(p.own, "factor", 3.0),
    "own loss's attribute": lambda p: setattr(p.loss, "tilt", -2.0),
    "own metric's attribute": lambda p: setattr(p.metric, "least", -9.0),
}
SEEN_WHEN_COMPARED: dict[str, Callable[[Parts], None]] = {
    "list in place": lambda p: p.own.more.__setitem__(0, 3.0),
    "list in a dict in place": lambda p: p.own.factors["each"].__setitem__(1, 3.0),
    "global": set_scale,
    "closure": lambda p: p.own.change_closure(3.0),
}
EVERY = SEEN_AT_ONCE | SEEN_WHEN_COMPARED
OF_TRAINING_ALONE = ("optimizer", "regularizer", "constraint", "dropout", "loss", "metric")
OF_PREDICT = [name for name in EVERY if not any(word in name for word in OF_TRAINING_ALONE)]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SCALE", 1.0)


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.standard_normal((samples, 3), np.float32), random.standard_normal((samples, 1), np.float32)


def trained(p: Parts, batches: int, hooks: dict[str, Any], fits: int = 1, between: Change = lambda: None) -> list[Any]:
    """Return all that `fit` makes of the model, after two epochs each time."""
    x, y = data(4 * batches)
    found: list[Any] = []
    for number in range(fits):
        if number:
            between()
        history = p.model.fit(
            x, y, 4, epochs=2, shuffle=False, verbose=0, callbacks=[callbacks.LambdaCallback(**hooks)]
        )
        found += history.history.values()
    return [*found, *p.model.get_weights()]


def once(change: Change, at: int = 1) -> Callable[..., None]:
    """Return a hook that makes a change when it is called for the `at`-th time."""
    calls: list[Any] = []

    def hook(*args: Any) -> None:
        calls.append(args)
        if len(calls) == at:
            change()

    return hook


def check(run: Callable[[Parts, Change], list[Any]], name: str, nested: bool) -> None:
    """Compare what is replayed with what is computed op by op, where the change has to make a difference."""
    results = []
    for eager, change in ((False, EVERY[name]), (True, EVERY[name]), (True, lambda p: None)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(gpudl.config._settings, "epsilon", 1e-7)
            patch.setattr(f"{__name__}.SCALE", 1.0)
            p = parts(nested, eager)
            results.append(run(p, lambda p=p, change=change: change(p)))  # type: ignore[misc]
    replayed, expected, unchanged = results
    for value, wanted in zip(replayed, expected, strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert any(not np.array_equal(a, b) for a, b in zip(expected, unchanged, strict=True)), "the change does nothing"


def after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it always be so long that a step is compared, as it is when somebody has typed something meanwhile."""
    monkeypatch.setattr(Budget, "is_ample", lambda self: True)
    monkeypatch.setattr(entry, "SHARE", float("inf"))


where = pytest.mark.parametrize("nested", [False, True], ids=["model", "nested model"])


@where
@pytest.mark.parametrize("name", SEEN_AT_ONCE)
def test_an_attribute_that_changes_in_the_middle_of_an_epoch(name: str, nested: bool) -> None:
    check(lambda p, change: trained(p, 3, {"on_train_batch_end": once(change)}), name, nested)


@where
@pytest.mark.parametrize("name", EVERY)
def test_a_change_after_the_last_batch_of_an_epoch(name: str, nested: bool) -> None:
    check(lambda p, change: trained(p, 3, {"on_train_batch_end": once(change, 3)}), name, nested)


@where
@pytest.mark.parametrize("name", EVERY)
def test_a_change_at_the_end_of_an_epoch(name: str, nested: bool) -> None:
    check(lambda p, change: trained(p, 2, {"on_epoch_end": once(change)}), name, nested)


@where
@pytest.mark.parametrize("name", EVERY)
def test_a_change_between_two_fits(name: str, nested: bool) -> None:
    check(lambda p, change: trained(p, 2, {}, 2, change), name, nested)


@where
@pytest.mark.parametrize("name", OF_PREDICT)
def test_a_change_between_two_predictions(name: str, nested: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    after_a_while(monkeypatch)

    def run(p: Parts, change: Change) -> list[Any]:
        before = p.model.predict(data(4)[0], verbose=0)
        change()
        return [before, p.model.predict(data(4)[0], verbose=0), p.model.predict_on_batch(data(4)[0])]

    check(run, name, nested)


@where
@pytest.mark.parametrize("name", EVERY)
def test_a_change_between_single_steps_and_evaluations(
    name: str, nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_a_while(monkeypatch)

    def run(p: Parts, change: Change) -> list[Any]:
        x, y = data(4)
        found = [p.model.train_on_batch(x, y), p.model.evaluate(x, y, verbose=0)]
        change()
        return [*found, p.model.train_on_batch(x, y), p.model.evaluate(x, y, verbose=0), *p.model.get_weights()]

    check(run, name, nested)
