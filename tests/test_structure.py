"""Layers that come, go and are built late: seen at once, once, and freed when nobody has them any more."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import Model, Sequential, callbacks, layers, metrics, optimizers
from gpudl.layers import Dense, Layer
from gpudl.random import SeedGenerator

X = np.random.default_rng(0).random((16, 3), dtype=np.float32)
Y = X.sum(axis=1, keepdims=True)


def ones(units: int, name: str | None = None) -> Dense:
    return Dense(units, kernel_initializer="ones", use_bias=False, name=name)


class Parts(Model):
    """Layers in an attribute, a list and a dict, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = ones(3, "hidden")
        self.blocks = [ones(3, "block")]
        self.named = {"out": ones(2, "out")}

    def call(self, x: Any) -> Any:
        x = self.hidden(x)
        for block in self.blocks:
            x = block(x)
        return self.named["out"](x)


def names(model: Model) -> list[str]:
    return [layer.name for layer in model.layers]


def doubled() -> Layer:
    class Doubled(Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    return Doubled(name="doubled")


CHANGES: dict[str, tuple[Callable[[Parts], Any], list[str]]] = {
    "attribute": (lambda m: setattr(m, "hidden", doubled()), ["block", "out", "doubled"]),
    "list item": (lambda m: m.blocks.__setitem__(0, doubled()), ["hidden", "out", "doubled"]),
    "list": (lambda m: setattr(m, "blocks", []), ["hidden", "out"]),
    "append": (lambda m: m.blocks.append(doubled()), ["hidden", "block", "out", "doubled"]),
    "pop": (lambda m: m.blocks.pop(), ["hidden", "out"]),
    "clear": (lambda m: m.blocks.clear(), ["hidden", "out"]),
    "extend": (lambda m: m.blocks.extend([doubled()]), ["hidden", "block", "out", "doubled"]),
    "slice": (lambda m: m.blocks.__delitem__(slice(None)), ["hidden", "out"]),
    "dict item": (lambda m: m.named.__setitem__("out", doubled()), ["hidden", "block", "doubled"]),
    "update": (lambda m: m.named.update(out=doubled()), ["hidden", "block", "doubled"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_layer_that_is_exchanged_is_seen_by_the_next_step(name: str) -> None:
    change, left = CHANGES[name]
    model = Parts()
    model.compile("sgd", "mse")
    targets = np.zeros((16, 2), np.float32)
    before = model.evaluate(X, targets, verbose=0), model.predict(X, verbose=0)
    np.testing.assert_allclose(before[1][:, 0], 9 * X.sum(1), rtol=1e-5)
    change(model)
    found = model.predict(X, verbose=0)
    assert sorted(names(model)) == sorted(left)
    np.testing.assert_allclose(found, Parts.call(model, gpudl.convert_to_tensor(X)).numpy(), rtol=1e-6)
    assert not np.allclose(found[:, 0], before[1][:, 0])
    assert model.evaluate(X, np.zeros_like(found), verbose=0) == pytest.approx(float((found**2).mean()), rel=1e-5)
    assert len(model.trainable_weights) == len(left) - ("doubled" in left)


def test_a_model_trains_the_layer_that_took_the_place_of_another() -> None:
    model = Parts()
    model.compile("sgd", "mse")
    model.fit(X, np.repeat(Y, 2, 1), verbose=0)
    old, model.hidden = model.hidden, Dense(3, name="new")
    before = old.get_weights()[0]
    model.fit(X, np.repeat(Y, 2, 1), verbose=0)
    first = model.hidden.get_weights()[0]
    model.fit(X, np.repeat(Y, 2, 1), verbose=0)
    np.testing.assert_array_equal(old.get_weights()[0], before)
    assert not np.array_equal(model.hidden.get_weights()[0], first)


def test_what_leaves_is_forgotten_unless_it_is_held_elsewhere() -> None:
    model = Parts()
    model.again = model.hidden
    model.hidden = Dense(3, name="new")
    assert names(model) == ["hidden", "block", "out", "new"]
    del model.again
    assert names(model) == ["block", "out", "new"]

    class Holder(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.add_weight((1,), name="nameless")
            self.w = self.add_weight((1,), name="w")
            self.generator, self.mean = SeedGenerator(1), metrics.Mean()

    holder = Holder()
    holder.w = gpudl.Variable([0.0], name="other")
    holder.generator = holder.mean = None
    assert [v.name for v in holder.variables] == ["nameless", "other"]


def test_an_inner_sequential_that_changes_is_seen_by_the_outer_one() -> None:
    inner = Sequential([ones(3), ones(2)])
    model = Sequential([layers.Input((3,)), inner])
    assert model.predict(X, verbose=0).shape == (16, 2)
    inner.pop()
    assert model.predict(X, verbose=0).shape == (16, 3)
    inner.add(ones(4))
    assert model.predict(X, verbose=0).shape == (16, 4)


def test_compile_in_a_callback_holds_from_the_next_step_on() -> None:
    model = Sequential([layers.Input((3,)), Dense(1)])
    model.compile(optimizers.SGD(0.0), "mse")

    class Switch(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.model.compile(optimizers.SGD(0.0), "mae", metrics=["mse"])

    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[Switch()]).history
    squared, absolute = model.evaluate(X, Y, return_dict=True, verbose=0)["mse"], model.evaluate(X, Y, verbose=0)[0]
    assert history["loss"] == pytest.approx([squared, absolute, absolute], rel=1e-5)
    assert history["mse"] == pytest.approx([squared, squared], rel=1e-5)


class Early(Model):
    def __init__(self) -> None:
        self.hidden, self.blocks = Dense(4), [Dense(1)]
        super().__init__()

    def call(self, x: Any) -> Any:
        return self.blocks[0](self.hidden(x))


def test_layers_from_before_super_are_trained() -> None:
    model = Early()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    assert len(before) == 4
    model.fit(X, Y, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_variables_of_a_metric_in_dicts_and_lists_are_reset() -> None:
    class Counts(metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="counts")
            self.by_name = {"a": gpudl.Variable(0.0), "b": [gpudl.Variable(0.0)]}

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.by_name["a"].assign_add(1.0)
            self.by_name["b"][0].assign_add(2.0)

        def result(self) -> Any:
            return self.by_name["a"] + self.by_name["b"][0]

    counts = Counts()
    counts.update_state(None, None)
    assert len(counts.variables) == 2
    counts.reset_state()
    assert float(counts.result()) == 0


def test_arrays_by_keyword_are_cast_as_those_by_position() -> None:
    seen: dict[str, Any] = {}

    class Takes(Layer):
        def call(self, x: Any, scale: Any = None, mask: Any = None, options: Any = None) -> Any:
            seen.update(scale=scale, mask=mask, options=options)
            return x * scale

    layer = Takes(dtype="float16")
    out = layer(np.ones(3), scale=np.full(3, 0.5), mask=np.arange(3), options={"n": 3, "w": np.ones(2)})
    assert (out.dtype, seen["scale"].dtype, seen["mask"].dtype) == ("float16", "float16", np.arange(3).dtype)
    assert seen["options"]["n"] == 3
    assert seen["options"]["w"].dtype == "float16"


@pytest.mark.parametrize("early", [False, True])
def test_of_several_threads_one_builds_the_layers(early: bool) -> None:
    class Slow(Layer):
        def build(self, input_shape: Any) -> None:
            if early:
                super().build(input_shape)
            gate.wait(0.05)  # by nobody: the others have time to come
            self.w = self.add_weight((input_shape[-1], 2), initializer="ones")

        def call(self, x: Any) -> Any:
            return x @ self.w

    gate = threading.Event()
    for make in (lambda: Sequential([Slow(), Slow(), Dense(3)]), lambda: Sequential([Sequential([Slow()]), Dense(2)])):
        model, start, failed = make(), threading.Barrier(4), []

        def first(model: Any = model, start: Any = start, failed: Any = failed) -> None:
            start.wait()
            try:
                model.predict(X, verbose=0)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=first) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert len(model.weights) == len(model.layers) + 1


def test_a_model_cannot_be_its_own_layer() -> None:
    model = Sequential([layers.Input((3,)), Dense(3)], name="all")
    outer = Sequential([layers.Input((3,)), model])
    for wrong in (model, outer):
        with pytest.raises(ValueError, match=r'^Sequential "all" cannot be a layer of itself\. Add a copy of it'):
            model.add(wrong)
    assert len(model.layers) == 1


def test_layers_that_contain_each_other_end_in_a_sentence() -> None:
    class Around(Layer):
        def call(self, x: Any) -> Any:
            return self.inner(x)

    one, other = Around(name="one"), Around()
    one.inner, other.inner = other, one
    assert one.weights == []
    with pytest.raises(RecursionError, match=r'^Around "one": its layers are nested too deeply, or one of them'):
        one(X)


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_memory_goes_back_with_the_model(uncollected: None) -> None:
    for make in (Parts, lambda: Sequential([layers.Input((3,)), Dense(2)])):
        model = make()
        model.compile("adam", "mse", metrics=["mae"])
        history = model.fit(X, np.repeat(Y, 2, 1), verbose=0, validation_split=0.5)
        model.predict(X, verbose=0)
        model.train_on_batch(X, np.repeat(Y, 2, 1))
        entries = [e for step in (model._train, model._test, model._predict) for e in step.entries.values()]
        freed = [weakref.ref(model), *map(weakref.ref, entries)]
        del entries
        assert model.history is history
        assert history.model is model
        del history
        assert model.history.history["loss"]
        assert model.history.model is model
        kept = model.history
        del model
        assert kept.model is not None, "as with Keras, who has the history has the model"
        del kept
        assert [reference() for reference in freed] == [None] * len(freed)
