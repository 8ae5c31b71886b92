"""Models of inputs and outputs: graphs with branches, shared layers, plain ops, nests, models inside; beside Keras."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from functional_models import INPUTS, MAKERS, X, Y, Z, branches, image, leaves, nested, one_output, sequence
from keras_peer import keras_or_skip, parity
from python_calls import python_calls

import gpudl
from gpudl import Input, Model, Sequential, layers, ops


@pytest.fixture(autouse=True)
def _seed() -> None:
    gpudl.utils.set_random_seed(1)


def calls_of_a_batch(model: Any) -> float:
    """Return how many Python functions a replayed batch calls in `fit`."""

    def fit(samples: int) -> int:
        return python_calls(lambda: model.fit(X[:samples], Y[:samples], batch_size=4, verbose=0))

    for samples in (20, 40):
        fit(samples)
    return (fit(40) - fit(20)) / 5


class TestTheGraph:
    def test_layers_and_ops_in_order(self) -> None:
        model = branches()
        names = ["input_layer", "side", "dense", "add", "mid", "mean", "multiply", "concatenate", "first", "second"]
        assert [operation.name for operation in model.operations] == names
        assert [layer.name for layer in model.layers] == ["input_layer", "side", "dense", "mid", "first", "second"]
        assert model.name == "functional"
        assert [v.path for v in model.weights[:3]] == ["dense/kernel", "dense/bias", "mid/kernel"]
        assert model.count_params() == 20 + 15 + 4 + 10

    def test_inputs_and_outputs_in_their_nests(self) -> None:
        model = nested()
        assert list(model.input) == ["k", "j"]
        assert [symbol.name for symbol in model.inputs] == model.input_names == ["j", "k"]
        assert [symbol.shape for symbol in model.input.values()] == [(None, 4), (None, 4)] == model.input_shape
        assert model.output.keys() == {"r", "q"}
        assert model.output_names == ["activation", "subtract"]
        assert model.output_shape == [(None, 2), (None, 2)]
        assert branches().output_names == ["first", "second"]

    def test_any_batch_size(self) -> None:
        model = branches()
        whole = model.predict([X, Z], verbose=0)
        for size in (1, 7, 40):
            parts = model.predict([X[:size], Z[:size]], batch_size=3, verbose=0)
            for part, all_of_it in zip(parts, whole, strict=True):
                np.testing.assert_allclose(part, all_of_it[:size], rtol=1e-5, atol=1e-6)

    def test_any_length(self) -> None:
        model = sequence()
        for length in (1, 6, 11):
            assert model.predict(np.ones((3, length, 4)), verbose=0).shape == (3, 1)

    def test_features_from_inside(self) -> None:
        model = one_output()
        features = Model(model.input, model.get_layer("mid").output)
        assert features.get_layer("mid") is model.get_layer("mid")
        assert [layer.name for layer in features.layers] == ["input_layer", "side", "dense", "mid"]
        hidden = features.predict([X, Z], verbose=0)
        kernel, bias = model.get_layer("first").get_weights()
        np.testing.assert_allclose(hidden @ kernel + bias, model.predict([X, Z], verbose=0), rtol=1e-5, atol=1e-6)

    def test_a_model_of_what_lies_between(self) -> None:
        model = one_output()
        head = Model(model.get_layer("mid").output, model.output)
        assert [layer.name for layer in head.layers][1:] == ["first"]
        features = Model(model.input, model.get_layer("mid").output)
        through = head.predict(features.predict([X, Z], verbose=0), verbose=0)
        np.testing.assert_allclose(through, model.predict([X, Z], verbose=0), rtol=1e-5, atol=1e-6)

    def test_a_long_chain_needs_no_deep_recursion(self) -> None:
        x = y = Input((2,))
        for _ in range(1500):
            y = y + 1
        model = copy.deepcopy(Model(x, y))
        assert float(pickle.loads(pickle.dumps(model))(np.zeros((1, 2), np.float32))[0, 0]) == 1500

    def test_a_model_of_ones_own_class(self) -> None:
        class Own(Model):
            def train_step(self, data: Any) -> dict[str, Any]:
                return {**super().train_step(data), "seen": gpudl.convert_to_tensor(3.0)}

        x = Input((4,))
        model = Own(x, layers.Dense(1)(x), name="own")
        model.compile("sgd", "mse")
        assert model.fit(X, Y, epochs=2, verbose=0).history["seen"] == [3.0, 3.0]

        class Made(Model):
            def __init__(self) -> None:
                x = Input((4,))
                self.hidden = layers.Dense(3)
                super().__init__(inputs=x, outputs=self.hidden(x))

        assert Made().predict(X, verbose=0).shape == (40, 3)
        assert Made().name.startswith("made")

    def test_the_same_layer_in_a_sequential(self) -> None:
        x = Input((4,), name="x")
        inner = Model(x, layers.Dense(3)(x))
        model = Sequential([inner, layers.Dense(1)])
        assert model.input_shape == (None, 4)
        assert model.predict(X, verbose=0).shape == (40, 1)


@pytest.mark.parametrize("form", [tuple, list, lambda pair: {"a": tuple(pair), "b": pair[0]}])
def test_a_config_keeps_tuples_apart_from_lists(form: Callable[[Any], Any]) -> None:
    entry = Input((3,))
    model = Model(entry, form([layers.Dense(1)(entry), layers.Dense(2)(entry)]))
    again = Model.from_config(model.get_config())
    gpudl.tree.assert_same_structure(again.output, model.output)
    gpudl.tree.assert_same_structure(again.predict(np.ones((2, 3)), verbose=0), model.output)


class TestSequential:
    def test_features_from_inside(self) -> None:
        model = Sequential([Input((4,), name="x"), layers.Dense(3, "relu"), layers.Dense(1)])
        features = Model(model.inputs, [layer.output for layer in model.layers])
        hidden, out = features.predict(X, verbose=0)
        np.testing.assert_allclose(hidden, model.layers[0](X).numpy(), rtol=1e-5)
        np.testing.assert_array_equal(out, model.predict(X, verbose=0))
        assert model.input is model.inputs[0]
        assert [layer.name for layer in Model(model.input, model.output).layers] == ["x", "dense", "dense_1"]

    def test_symbols_follow_the_stack(self) -> None:
        model = Sequential([layers.Dense(3), layers.Dense(1)])
        with pytest.raises(
            AttributeError, match=r'^Sequential "sequential" has no symbols for its inputs and outputs: '
        ):
            _ = model.output
        model.predict(X, verbose=0)
        assert (model.input.shape, model.output.shape) == ((None, 4), (None, 1))
        model.pop()
        assert model.output.shape == (None, 3)
        made = copy.deepcopy(model)
        assert Model(made.input, made.output).layers[-1] is made.layers[0]
        assert model.weights[0] is not made.weights[0]


class TestTraining:
    def test_the_gradient_of_a_shared_layer_adds_up(self) -> None:
        gpudl.utils.set_random_seed(1)
        model = one_output()
        shared = model.get_layer("dense")
        with gpudl.GradientTape() as tape:
            value = ops.sum(model([X, Z]))
        together = tape.gradient(value, shared.kernel)
        parts = []
        for number in (0, 1):
            with gpudl.GradientTape() as tape:
                halves = [shared(X), shared(Z)]
                halves[1 - number] = gpudl.convert_to_tensor(halves[1 - number].numpy())
                value = ops.sum(model.get_layer("first")(model.get_layer("mid")(halves[0] + halves[1])))
            parts.append(tape.gradient(value, shared.kernel).numpy())
        np.testing.assert_allclose(together.numpy(), parts[0] + parts[1], rtol=1e-4, atol=1e-5)
        assert np.abs(parts[0] - parts[1]).max() > 1e-3

    def test_it_learns(self) -> None:
        gpudl.utils.set_random_seed(1)
        model, y = one_output(), X[:, :1] - 2 * Z[:, 1:2]
        model.compile(gpudl.optimizers.Adam(0.02), "mse", metrics=["mae"])
        history = model.fit([X, Z], y, epochs=30, batch_size=8, verbose=0, validation_split=0.2).history
        assert history["loss"][-1] < history["loss"][0] / 2
        assert model.evaluate([X, Z], y, verbose=0, return_dict=True).keys() == {"loss", "mae"}
        by_name = model.predict({"side": Z, "input_layer": X}, verbose=0)
        np.testing.assert_array_equal(by_name, model.predict([X, Z], verbose=0))

    def test_replay_and_eager_are_equal_bit_for_bit(self) -> None:
        weights = []
        for eagerly in (False, True):
            gpudl.utils.set_random_seed(3)
            model = image()
            model.compile("adam", "categorical_crossentropy", run_eagerly=eagerly)
            model.fit(INPUTS["image"], np.eye(3, dtype=np.float32)[np.arange(40) % 3], epochs=2, verbose=0)
            weights.append(model.get_weights())
        for one, other in zip(*weights, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_chain_is_the_sequential_bit_for_bit_and_no_slower(self) -> None:
        def stack() -> list[Any]:
            return [layers.Dense(8, "relu"), layers.Dropout(0.3), layers.Dense(1)]

        calls, states = [], []
        for functional in (False, True):
            gpudl.utils.set_random_seed(3)
            if functional:
                x = y = Input((4,))
                for layer in stack():
                    y = layer(y)
                model: Any = Model(x, y)
            else:
                model = Sequential([Input((4,)), *stack()])
            model.compile("adam", "mse", metrics=["mae"])
            history = model.fit(X, Y, epochs=3, batch_size=8, verbose=0).history
            states.append([*model.get_weights(), *map(np.asarray, history.values()), model.predict(X, verbose=0)])
            calls.append(calls_of_a_batch(model))
        for one, other in zip(*states, strict=True):
            np.testing.assert_array_equal(one, other)
        assert calls[1] <= calls[0] <= 48

    def test_a_model_is_freed_when_it_is_deleted(self) -> None:
        model = one_output()
        model.compile("sgd", "mse")
        model.fit([X, Z], Y, verbose=0)
        held = [weakref.ref(model), weakref.ref(model.input[0]), weakref.ref(model.output)]
        gc.collect()
        gc.disable()
        try:
            del model
            assert [reference() for reference in held] == [None] * 3
        finally:
            gc.enable()


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("way", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_copy_is_independent(name: str, way: Callable[[Any], Any]) -> None:
    model = MAKERS[name]()
    made = way(model)
    before = leaves(model.predict(INPUTS[name], verbose=0))
    assert [layer.name for layer in made.layers] == [layer.name for layer in model.layers]
    assert not {id(v) for v in made.variables} & {id(v) for v in model.variables}
    for one, other in zip(leaves(made.predict(INPUTS[name], verbose=0)), before, strict=True):
        np.testing.assert_array_equal(one, other)
    made.set_weights([w * 0 for w in made.get_weights()])
    for one, other in zip(leaves(model.predict(INPUTS[name], verbose=0)), before, strict=True):
        np.testing.assert_array_equal(one, other)
    inner = next(layer for layer in made.layers if layer.weights)
    assert Model(made.input if type(inner) is not Model else inner.input, inner.output).layers[-1].weights


def noting(texts: list[str]) -> Callable[..., None]:
    """Return what takes a printed text; Keras gives it more."""
    return lambda text, line_break=None: texts.append(text)


class TestBesideKeras:
    @parity
    @pytest.mark.parametrize("options", [{}, {"show_trainable": True, "expand_nested": True}])
    @pytest.mark.parametrize("name", MAKERS)
    def test_the_summary(self, name: str, options: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
        keras = keras_or_skip()
        monkeypatch.setenv("COLUMNS", "130")
        keras.backend.clear_session()
        texts: list[str] = []
        for of in (keras, gpudl):
            MAKERS[name](of).summary(print_fn=noting(texts), **options)
        assert texts[0] == texts[1]

    @parity
    @pytest.mark.parametrize("name", MAKERS)
    def test_the_predictions(self, name: str) -> None:
        ours, theirs = MAKERS[name](), MAKERS[name](keras_or_skip())
        assert [w.shape for w in theirs.get_weights()] == [w.shape for w in ours.get_weights()]
        theirs.set_weights(ours.get_weights())
        expected = leaves(theirs.predict(INPUTS[name], verbose=0))
        for one, other in zip(leaves(ours.predict(INPUTS[name], verbose=0)), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)

    @parity
    @pytest.mark.parametrize("name", ["one output", "sequence", "image"])
    def test_the_losses_of_a_fit(self, name: str) -> None:
        y = np.eye(3, dtype=np.float32)[np.arange(40) % 3] if name == "image" else Y
        ours, theirs = MAKERS[name](), MAKERS[name](keras_or_skip())
        theirs.set_weights(ours.get_weights())
        losses = []
        for model in (ours, theirs):
            model.compile("sgd", "mse")
            history = model.fit(INPUTS[name], y, epochs=4, batch_size=8, shuffle=False, verbose=0)
            losses.append(history.history["loss"])
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
