"""Sequential: how it is put together, what it knows of itself, and that weights survive changes."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from small_models import digits, mlp, same, state_of

import gpudl
from gpudl import Input, Sequential, layers
from gpudl.names import clear_names


def conv_net() -> Sequential:
    return Sequential(
        [
            layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
        ]
    )


def summary_of(model: gpudl.Model) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


def test_it_is_not_built_again_for_other_inputs() -> None:
    model = Sequential([Input((2,), batch_size=3), layers.Dense(2)])
    for alike in ((3, 2), (None, 2), [3, 2]):
        model.build(alike)
    for other in ((3, 4), (4, 2), (3, 2, 1)):
        with pytest.raises(ValueError, match=r"was built for inputs of shape \(3, 2\), got \("):
            model.build(other)


class TestPuttingTogether:
    def test_a_list_and_add_are_the_same(self) -> None:
        listed = Sequential([Input((4,)), layers.Dense(3), layers.ReLU()])
        added = Sequential()
        added.add(Input((4,)))
        added.add(layers.Dense(3))
        added.add(layers.ReLU())
        for model in (listed, added):
            assert [type(layer).__name__ for layer in model.layers] == ["Dense", "ReLU"]
            assert (model.input_shape, model.output_shape) == ((None, 4), (None, 3))
            assert model.count_params() == 15
            assert model.built

    @pytest.mark.parametrize(
        "first",
        [
            lambda: [layers.Dense(3, input_shape=(4,))],
            lambda: [layers.Dense(3, input_dim=4)],
            lambda: [Input((4,)), layers.Dense(3)],
            lambda: [Input(shape=(4,), batch_size=None), layers.Dense(3)],
            lambda: [layers.InputLayer(batch_shape=(None, 4)), layers.Dense(3)],
        ],
    )
    def test_ways_to_give_the_input_shape(self, first: Any) -> None:
        model = Sequential(first())
        assert model.built
        assert [w.shape for w in model.weights] == [(4, 3), (3,)]
        assert model.layers[0].output_shape == (None, 3)

    def test_without_an_input_shape_the_first_call_builds(self) -> None:
        model = Sequential([layers.Flatten(), layers.Dense(3), layers.Dense(2)])
        assert not model.built
        assert model.weights == []
        for name in ("input_shape", "output_shape", "input", "output", "inputs", "outputs"):
            assert not hasattr(model, name), name
        with pytest.raises(AttributeError, match="has no input_shape: its shapes are not known"):
            _ = model.input_shape
        assert model(np.ones((5, 2, 2))).shape == (5, 2)
        assert model.built
        assert (model.input_shape, model.output_shape) == ((None, 2, 2), (None, 2))
        assert model.count_params() == 15 + 8

    def test_a_model_of_an_input_alone_can_be_the_first_layer(self) -> None:
        model = Sequential([Sequential([layers.Input((4,))])])
        assert model.input_shape == (None, 4)
        model.add(layers.Dense(2))
        assert model.output_shape == (None, 2)

    def test_build_by_hand(self) -> None:
        model = Sequential([layers.Dense(3)])
        model.build((None, 4))
        assert model.count_params() == 15
        model.build((None, 4))
        assert model.count_params() == 15

    def test_build_a_deferred_model_through_each_door(self) -> None:
        x, y = digits()
        for use in ("fit", "evaluate", "predict", "train_on_batch", "predict_on_batch"):
            model = Sequential([layers.Dense(3, activation="softmax")])
            model.compile("sgd", "sparse_categorical_crossentropy")
            data = (x,) if "predict" in use else (x, y)
            getattr(model, use)(*data, **({} if "batch" in use else {"verbose": 0}))
            assert model.count_params() == 15, use

    def test_predict_needs_no_compile(self) -> None:
        model = Sequential([layers.Dense(2)])
        assert model.predict(np.ones((5, 3)), verbose=0).shape == (5, 2)

    def test_pop_takes_the_top_off(self) -> None:
        model = Sequential([Input((4,)), layers.Dense(3), layers.Dense(2)])
        below = model.layers[0].get_weights()
        assert model.pop().units == 2
        assert model.output_shape == (None, 3)
        assert model.count_params() == 15
        model.add(layers.Dense(5))
        assert model.output_shape == (None, 5)
        assert same(model.layers[0].get_weights(), below)
        model.pop()
        model.pop()
        assert (model.layers, model.built, hasattr(model, "output_shape")) == ([], False, False)
        with pytest.raises(ValueError, match="there is no layer to take off"):
            model.pop()

    def test_a_layer_that_does_not_fit_leaves_the_stack(self) -> None:
        model = Sequential([Input((4, 4, 1)), layers.Conv2D(2, 3)])
        with pytest.raises(gpudl.ShapeError, match="kernel"):
            model.add(layers.Conv2D(2, 3))
        assert len(model.layers) == 1
        assert model.output_shape == (None, 2, 2, 2)
        assert model.predict(np.ones((1, 4, 4, 1)), verbose=0).shape == (1, 2, 2, 2)

    def test_a_layer_in_two_models_shares_its_weights(self) -> None:
        body = layers.Dense(3, input_shape=(4,))
        first, second = Sequential([body, layers.Dense(2)]), Sequential([body])
        assert first.layers[0] is second.layers[0]
        body.set_weights([np.full((4, 3), 2.0), np.zeros(3)])
        np.testing.assert_array_equal(second.predict(np.ones((1, 4)), verbose=0), [[8, 8, 8]])

    def test_training_one_model_moves_the_shared_layer_of_the_other(self) -> None:
        x, y = digits()
        body = layers.Dense(3, activation="softmax", input_shape=(4,))
        first, second = Sequential([body]), Sequential([body])
        for model in (first, second):
            model.compile("sgd", "sparse_categorical_crossentropy")
            model.fit(x, y, verbose=0)
        first.fit(x, y, epochs=2, verbose=0)
        assert same(first.get_weights(), second.get_weights())
        np.testing.assert_array_equal(first.predict(x, verbose=0), second.predict(x, verbose=0))

    def test_sequential_inside_sequential(self) -> None:
        x, y = digits()
        inner = Sequential([layers.Dense(5, activation="relu"), layers.BatchNormalization()], name="inner")
        model = Sequential([Input((4,)), inner, layers.Dense(3, activation="softmax")])
        assert model.count_params() == 25 + 20 + 18
        assert inner.output_shape == (None, 5)
        model.compile("sgd", "sparse_categorical_crossentropy")
        before = inner.get_weights()
        model.fit(x, y, verbose=0)
        assert not same(before, inner.get_weights())
        assert "inner (Sequential)" in summary_of(model)
        assert model.get_layer("inner") is inner

    def test_a_built_sequential_gives_its_input_shape(self) -> None:
        inner = Sequential([layers.Dense(5, input_shape=(4,))])
        model = Sequential([inner, layers.Dense(2)])
        assert (model.built, model.input_shape, model.output_shape) == (True, (None, 4), (None, 2))

    def test_calls_compute_at_once(self) -> None:
        model = Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(2,)), layers.Dropout(0.5)])
        result = model(np.array([[1.0, 2.0]]))
        assert isinstance(result, gpudl.Tensor)
        np.testing.assert_array_equal(result.numpy(), [[3.0]])
        trained = {float(model(np.ones((1, 2)), training=True)) for _ in range(20)}
        assert trained == {0.0, 4.0}

    def test_one_number_a_sample_may_come_without_its_axis(self) -> None:
        model = Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])
        np.testing.assert_array_equal(model.predict(np.array([1.0, 2.0]), verbose=0), [[1.0], [2.0]])


class TestNames:
    def test_automatic_names_count_as_in_keras(self) -> None:
        clear_names()
        model = Sequential([layers.Dense(2), layers.Dense(2), layers.MaxPooling2D(), layers.Conv2D(1, 1)])
        assert model.name == "sequential"
        assert Sequential().name == "sequential_1"
        assert [layer.name for layer in model.layers] == ["dense", "dense_1", "max_pooling2d", "conv2d"]

    def test_given_names(self) -> None:
        model = Sequential([layers.Dense(2, name="top", input_shape=(3,))], name="net")
        assert (model.name, model.layers[0].name) == ("net", "top")
        assert [w.name for w in model.weights] == ["kernel", "bias"]
        assert [w.path for w in model.weights] == ["net/top/kernel", "net/top/bias"]

    def test_names_clash(self) -> None:
        model = Sequential([layers.Dense(2, name="a")])
        with pytest.raises(ValueError, match=r"a layer called 'a' already: names must differ"):
            model.add(layers.Dense(3, name="a"))
        assert len(model.layers) == 1

    def test_get_layer(self) -> None:
        model = Sequential([layers.Dense(2, name="a"), layers.Dense(3, name="b")])
        assert model.get_layer("b") is model.layers[1]
        assert model.get_layer(index=0) is model.layers[0]
        with pytest.raises(ValueError, match=r"^No such layer: c\. The layers are a, b\."):
            model.get_layer("c")
        with pytest.raises(ValueError, match=r"no layer at index 2: it only has 2 layers"):
            model.get_layer(index=2)


class TestSummary:
    def test_the_convolutional_net_before_and_after_its_top(self) -> None:
        model = conv_net()
        assert "Total params: 55,744 (217.75 KB)" in summary_of(model)
        model.add(layers.Flatten())
        model.add(layers.Dense(64, activation="relu"))
        model.add(layers.Dense(10, activation="softmax"))
        text = summary_of(model)
        assert "Total params: 93,322 (364.54 KB)" in text
        for cell in ("(None, 26, 26, 32)", "(None, 13, 13, 32)", "(None, 3, 3, 64)", "(None, 576)", "36,928"):
            assert cell in text
        assert model.count_params() == 93_322

    def test_it_is_printed(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            conv_net().summary()
        assert "55,744" in out.getvalue()

    def test_unbuilt(self) -> None:
        text = summary_of(Sequential([layers.Dense(2)]))
        assert "0 (unbuilt)" in text
        assert "Total params: 0 (0.00 B)" in text

    def test_frozen_weights_and_the_optimizer_are_counted_apart(self) -> None:
        x, y = digits()
        model = mlp()
        model.layers[0].trainable = False
        model.fit(x, y, verbose=0)
        text = summary_of(model)
        assert " Trainable params: 27 " in text
        assert " Non-trainable params: 40 " in text
        assert " Optimizer params: 29 " in text

    @parity
    def test_as_keras_prints_it(self) -> None:
        keras = keras_or_skip()
        theirs = keras.Sequential(
            [
                keras.layers.Input((28, 28, 1), name="i"),
                keras.layers.Conv2D(4, 3, name="c"),
                keras.layers.MaxPooling2D(name="p"),
                keras.layers.Flatten(name="f"),
                keras.layers.Dropout(0.5, name="o"),
                keras.layers.Dense(10, name="d"),
            ],
            name="net",
        )
        ours = Sequential(
            [
                Input((28, 28, 1), name="i"),
                layers.Conv2D(4, 3, name="c"),
                layers.MaxPooling2D(name="p"),
                layers.Flatten(name="f"),
                layers.Dropout(0.5, name="o"),
                layers.Dense(10, name="d"),
            ],
            name="net",
        )
        printed: list[str] = []
        theirs.summary(print_fn=lambda text, **_: printed.append(text), line_length=80)
        mine: list[str] = []
        ours.summary(print_fn=mine.append, line_length=80)
        assert "".join(mine).split() == "\n".join(printed).split()


class TestWeights:
    def test_get_and_set(self) -> None:
        model = Sequential([layers.Dense(2, input_shape=(3,))])
        model.set_weights([np.ones((3, 2)), np.full(2, 5.0)])
        kernel, bias = model.get_weights()
        np.testing.assert_array_equal(kernel, np.ones((3, 2)))
        np.testing.assert_array_equal(bias, [5, 5])
        kernel[:] = 9  # a copy
        np.testing.assert_array_equal(model.predict(np.ones((1, 3)), verbose=0), [[8, 8]])

    @pytest.mark.parametrize(
        ("weights", "match"),
        [
            ([np.ones((3, 2))], "has 2 weights, got 1 arrays"),
            ([np.ones((2, 3)), np.ones(2)], r"weight 'kernel' has shape \(3, 2\), got \(2, 3\)"),
        ],
    )
    def test_wrong_weights_change_nothing(self, weights: Any, match: str) -> None:
        model = Sequential([layers.Dense(2, input_shape=(3,))])
        before = model.get_weights()
        with pytest.raises(ValueError, match=match):
            model.set_weights(weights)
        assert same(before, model.get_weights())

    def test_set_weights_reaches_the_recorded_step(self) -> None:
        x, _ = digits()
        model = mlp()
        before = model.predict(x, verbose=0)
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        np.testing.assert_array_equal(model.predict(x, verbose=0), np.full_like(before, 1 / 3))

    def test_weights_before_they_are_there(self) -> None:
        model = Sequential([layers.Dense(2)])
        with pytest.raises(ValueError, match=r"has no weights yet: it is built on its first call, or by build\(\)"):
            model.count_params()
        assert model.get_weights() == []

    def test_a_layer_on_top_of_a_trained_model(self) -> None:
        x, y = digits()
        model = mlp()
        model.fit(x, y, verbose=0)
        before, slots = model.get_weights(), len(model.optimizer.variables)
        model.add(layers.Dense(3, activation="softmax"))
        assert same(before, model.get_weights()[:4])
        assert model.compiled
        assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
        assert same(before, model.get_weights()[:4])
        model.fit(x, y, verbose=0)
        assert len(model.optimizer.variables) == slots + 2
        assert int(model.optimizer.iterations) == 6
        assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=False))

    def test_a_step_recorded_before_pop_is_not_replayed(self) -> None:
        x, _ = digits()
        model = mlp()
        assert model.predict(x, verbose=0).shape == (70, 3)
        model.pop()
        assert model.predict(x, verbose=0).shape == (70, 8)


class TestConfig:
    def test_round_trip(self) -> None:
        model = conv_net()
        copy = Sequential.from_config(model.get_config())
        assert copy.get_config() == model.get_config()
        assert (copy.name, copy.input_shape, copy.output_shape) == (model.name, (None, 28, 28, 1), (None, 3, 3, 64))
        assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
        copy.set_weights(model.get_weights())
        x = np.random.default_rng(0).random((2, 28, 28, 1))
        np.testing.assert_array_equal(copy.predict(x, verbose=0), model.predict(x, verbose=0))

    def test_a_copy_has_weights_of_its_own(self) -> None:
        model = mlp()
        copy = Sequential.from_config(model.get_config())
        before = state_of(model)
        copy.set_weights([w + 1 for w in copy.get_weights()])
        assert same(before, state_of(model))

    def test_unbuilt_stays_unbuilt(self) -> None:
        copy = Sequential.from_config(Sequential([layers.Dense(2, name="a")]).get_config())
        assert not copy.built
        assert copy.layers[0].name == "a"

    def test_nested(self) -> None:
        model = Sequential([Input((4,)), Sequential([layers.Dense(2)], name="inner"), layers.ReLU()])
        copy = Sequential.from_config(model.get_config())
        assert copy.get_config() == model.get_config()
        assert copy.count_params() == 10

    def test_the_dtype_of_the_input_is_kept(self) -> None:
        model = Sequential([Input((4,), dtype="uint8"), layers.Dense(2)])
        copy = Sequential.from_config(model.get_config())
        assert copy.get_config() == model.get_config()
        assert copy.predict(np.ones((3, 4), np.uint8), verbose=0).dtype == np.float32

    def test_layers_of_ones_own(self) -> None:
        class Twice(layers.Layer):
            def call(self, x: Any) -> Any:
                return x * 2

        config = Sequential([Input((4,)), Twice(name="twice")]).get_config()
        with pytest.raises(ValueError, match=r"'Twice' of \S*test_sequential is neither gpudl's nor registered"):
            Sequential.from_config(config)
        copy = Sequential.from_config(config, custom_objects={"Twice": Twice})
        np.testing.assert_array_equal(copy.predict(np.ones((1, 4)), verbose=0), [[2, 2, 2, 2]])
